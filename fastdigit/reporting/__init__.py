"""Results in, tables and pictures out; nothing is measured here."""
