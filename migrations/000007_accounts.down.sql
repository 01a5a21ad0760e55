SET LOCAL search_path TO muster;
DROP VIEW inspect.account_members, inspect.accounts;
DROP TABLE account_members, account_traits, accounts;
