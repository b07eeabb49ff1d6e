"""The API of who calls and who pays."""
