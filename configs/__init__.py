"""Settings: the schema, the presets and the categories."""
