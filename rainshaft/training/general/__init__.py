"""How the general networks are made, from public records of fine rain."""
