"""Images: bytes and arrays in, values out. Pure; numpy and Pillow only."""
