"""The API of how much: meters, costs, quarantine, usage."""
