SET LOCAL search_path TO muster;
DROP TABLE account_members, account_traits, accounts;
