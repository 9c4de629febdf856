"""Model folders: card, safe checkpoint reader, store, import and export."""
