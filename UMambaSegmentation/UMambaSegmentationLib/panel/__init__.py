"""The sections of the panel; each is a class that gets the panel's widgets and what the sections share."""
