"""Classifies a line of the shop by the words of its description."""

import re

POSTAGE = {"POSTAGE", "DOTCOM POSTAGE", "CARRIAGE", "NEXT DAY CARRIAGE"}
ADJUSTMENTS = {"MANUAL", "DISCOUNT", "BANK CHARGES", "CRUK COMMISSION", "SAMPLES", "ADJUST BAD DEBT", "AMAZON FEE"}

# The first category with a word in the description applies. Occasions come before materials and rooms, so that a
# Christmas mug is Christmas and a paper lunch bag is a bag. Plurals match too.
RULES = [
    ("christmas", "christmas xmas advent nativity reindeer santa rudolph snowman snowflake stocking bauble noel angel "
                  "snow mistletoe holly sleigh poinsettia tinsel robin"),
    ("bags", "bag shopper handbag luggage backpack suitcase trolley rucksack lunch"),
    ("party", "party birthday bunting balloon streamer confetti napkin doiley doily case easter bunny valentine "
              "wedding garland pennant sparkler"),
    ("toys", "toy doll dolly game skipping puzzle spaceboy children child kid baby girl boy dinosaur soldier circus "
             "babushka domino dominoe marble spinning skittle ludo rabbit playhouse teddy puppet robot harmonica "
             "boomerang nursery piggy feltcraft craft crayon chalk stencil clay bingo glider snakes naughts knitting "
             "paint jigsaw"),
    ("stationery", "card paper wrap notebook sketchbook pencil pen sticker tag ribbon tape stamp journal calendar "
                   "envelope eraser ruler sharpener chalkboard tissue gift giftwrap memo memoboard notepad book "
                   "organiser planner calculator address passport magnet"),
    ("accessories", "necklace necklac neckl necklaces bracelet earring ring bangle brooch jewel jewellery hair bling "
                    "diamante bead pearl pendant charm purse wallet scarf shawl parasol umbrella poncho hat glove "
                    "slipper warmer lip compact"),
    ("kitchen", "mug cup saucer tea teapot teacup coffee cake cakestand bowl plate jar jam baking kitchen cutlery "
                "spoon fork knife tray jug milk egg recipe pantry apron cosy oven biscuit bread sugar salt tumbler "
                "cocktail coaster teatime breakfast dinner popcorn pan scale measuring tin snack cookie butter dish "
                "mould chopping caddy placemat wine tiffin flask ladle pudding food bottle water hot glass"),
    ("garden", "garden gardener plant watering bird birdhouse birdcage feeder trowel bucket herb seed outdoor picnic "
               "hammock windmill nesting thermometer kneeling planter deckchair"),
    ("home", "candle candleholder chocolatecandle light lantern t lamp lampshade cushion frame clock sign mirror "
             "drawer hook hanger hanging holder doormat doorstop door knob cabinet shelf basket box incense decoration "
             "heart photo wall vase rug quilt throw blanket screen stool chair table mat towel soap bath bathroom "
             "wicker letter rack curtain metal wood wooden zinc ceramic bell ornament wreath chandelier tidy bin block "
             "word home number tile key peg stand sewing storage container flower"),
]
CATEGORIES = [(name, frozenset(words.split())) for name, words in RULES]


def kind_of(description):
    """"postage", "adjustment", or the category of a product."""
    name = description.upper()
    if name in POSTAGE:
        return "postage"
    if name in ADJUSTMENTS:
        return "adjustment"
    words = set(re.findall("[a-z]+", name.lower()))
    words |= {word[:-1] for word in words if word.endswith("s")}
    return next((category for category, known in CATEGORIES if words & known), "other")
