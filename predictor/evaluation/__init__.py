"""How well a model does on pictures whose classes are known, and which preprocessing it does best with."""
