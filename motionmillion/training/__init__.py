"""What the recipes share: recipe files, the Trainer subclass, and one function a model that trains it."""
