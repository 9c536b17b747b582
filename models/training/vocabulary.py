"""What flux-nano is taught to draw: objects, by unicode-emoji-json's names, and the colours behind them."""

OBJECTS: tuple[str, ...] = (
    "airplane", "alarm clock", "alien", "anchor", "artist palette", "avocado", "balloon", "banana",
    "basketball", "bell", "bell pepper", "birthday cake", "blue book", "bread", "broccoli", "bus",
    "butterfly", "cactus", "camera", "carrot", "cat face", "cheese wedge", "cherries", "chocolate bar",
    "coin", "cookie", "crab", "croissant", "crown", "crystal ball", "cupcake", "dog face", "door", "doughnut",
    "eggplant", "envelope", "evergreen tree", "fire", "fire extinguisher", "four leaf clover", "fox",
    "french fries", "frog", "game die", "gem stone", "ghost", "grapes", "green apple", "green book",
    "hamburger", "heart with ribbon", "hot beverage", "house", "ice cream", "jack-o-lantern", "joystick",
    "key", "koala", "lady beetle", "laptop", "lemon", "light bulb", "locked", "lollipop", "maple leaf",
    "mobile phone", "mouse face", "mushroom", "octopus", "oncoming automobile", "orange book", "owl", "panda",
    "peach", "pear", "penguin", "pig face", "pineapple", "pizza", "pool 8 ball", "popcorn", "rabbit face",
    "rainbow", "red apple", "red heart", "ringed planet", "robot", "rocket", "sailboat", "skull", "snowman",
    "soccer ball", "star", "stop sign", "strawberry", "sun", "sunflower", "taxi", "teddy bear", "television",
    "tiger face", "tomato", "top hat", "trophy", "umbrella", "volcano", "volleyball", "watermelon",
    "wrapped gift", "yellow heart",
)  # fmt: skip

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "blue": (30, 70, 230),
    "green": (30, 165, 60),
    "orange": (250, 140, 20),
    "purple": (130, 50, 200),
    "red": (230, 30, 30),
    "white": (255, 255, 255),
    "yellow": (255, 220, 30),
}

DEFAULT_COLOUR = "white"
