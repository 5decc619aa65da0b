"""How well a model does on images whose classes are known, and which preprocessing it does best with."""
