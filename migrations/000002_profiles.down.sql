SET LOCAL search_path TO muster;
DROP TABLE profile_deletions, identity_violations, profile_merges, traits, id_owners, external_ids, profiles;
DROP SEQUENCE profile_ids;
