"""The system under drill that comes with gameday: a small real service on a real PostgreSQL pair."""
