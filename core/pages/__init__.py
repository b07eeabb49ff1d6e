"""What every page is made of: the shell around it, list pages, confirmations. The README shows the use."""
