"""How values read to a person: pure functions from a value and a locale to text, without HTML."""
