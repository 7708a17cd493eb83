"""From raw files to canonical fields, normalisation and training patches."""
