SET LOCAL search_path TO muster;
DROP TABLE connections, version_leaves, leaves, computation_versions, computations, destinations, event_names, sources, catalog_version;
