"""What follows from the sizes of any of the transformers here."""


class TransformerSizes:
    """Mixin of the families' parameters.

    Attributes:
        hidden_size: width of the residual stream.
        num_heads: attention heads; hidden_size / num_heads is the sum of axes_dim.
        axes_dim: channels of a head that encode each axis of a position.
        theta: base of the rotary frequencies.
        mlp_ratio: width of a feed-forward layer over hidden_size.
    """

    hidden_size: int
    num_heads: int
    axes_dim: tuple[int, ...]
    theta: int
    mlp_ratio: float

    def __post_init__(self) -> None:
        if self.hidden_size != self.num_heads * self.head_dim:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not num_heads {self.num_heads} times {self.head_dim}, "
                f"the sum of axes_dim {self.axes_dim}"
            )

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return sum(self.axes_dim)

    @property
    def mlp_size(self) -> int:
        """Width of a feed-forward layer."""
        return int(self.hidden_size * self.mlp_ratio)
