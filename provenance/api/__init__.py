"""The HTTP application: pages and JSON over the use cases."""
