"""From what a person sends, one file or many, to the model that is checked and served."""
