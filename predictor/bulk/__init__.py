"""Many images -> rows: each with the predictions for an image, or with what is wrong with it."""
