"""Locust files as people write them: each shows one thing that must run unchanged."""
