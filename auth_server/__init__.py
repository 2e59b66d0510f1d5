"""The central server: it decides on every factor and keeps the evidence."""
