"""A run in the formats that other tools read: one module a format. Each is a rendering, never the record."""
