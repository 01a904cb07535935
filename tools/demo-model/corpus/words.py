# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Word lists and facts that the conversations are made of."""

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Ireland": "Dublin", "Belgium": "Brussels", "Austria": "Vienna",
    "Switzerland": "Bern", "Denmark": "Copenhagen", "Sweden": "Stockholm", "Norway": "Oslo",
    "Finland": "Helsinki", "Iceland": "Reykjavik", "Poland": "Warsaw", "Hungary": "Budapest",
    "Greece": "Athens", "Croatia": "Zagreb", "Serbia": "Belgrade", "Romania": "Bucharest",
    "Bulgaria": "Sofia", "Ukraine": "Kyiv", "Estonia": "Tallinn", "Latvia": "Riga",
    "Lithuania": "Vilnius", "Slovenia": "Ljubljana", "Slovakia": "Bratislava",
    "Turkey": "Ankara", "Russia": "Moscow", "Japan": "Tokyo", "China": "Beijing",
    "India": "New Delhi", "Thailand": "Bangkok", "Vietnam": "Hanoi", "Indonesia": "Jakarta",
    "Malaysia": "Kuala Lumpur", "South Korea": "Seoul", "Mongolia": "Ulaanbaatar",
    "Nepal": "Kathmandu", "Pakistan": "Islamabad", "Iran": "Tehran", "Iraq": "Baghdad",
    "Jordan": "Amman", "Lebanon": "Beirut", "Saudi Arabia": "Riyadh", "Qatar": "Doha",
    "Egypt": "Cairo", "Morocco": "Rabat", "Tunisia": "Tunis", "Kenya": "Nairobi",
    "Ethiopia": "Addis Ababa", "Ghana": "Accra", "Senegal": "Dakar", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Argentina": "Buenos Aires",
    "Chile": "Santiago", "Peru": "Lima", "Colombia": "Bogota", "Ecuador": "Quito",
    "Uruguay": "Montevideo", "Australia": "Canberra", "New Zealand": "Wellington",
    "the United Kingdom": "London", "the United States": "Washington",
    "the Netherlands": "Amsterdam", "the Czech Republic": "Prague",
    "the Philippines": "Manila",
}

OTHER_NAMES = {
    "the United States": ["the USA", "the US", "America", "the United States of America"],
    "the United Kingdom": ["the UK", "Great Britain", "England"],
    "the Czech Republic": ["Czechia"], "the Netherlands": ["Holland"],
}

THING_COLOURS = {
    "the sky": "blue", "grass": "green", "a banana": "yellow", "snow": "white",
    "coal": "black", "a ripe tomato": "red", "a lemon": "yellow", "a carrot": "orange",
    "milk": "white", "chocolate": "brown", "an orange": "orange", "the sun": "yellow",
    "the sea": "blue", "a frog": "green", "a flamingo": "pink", "a crow": "black",
    "a polar bear": "white", "a strawberry": "red", "a cherry": "red", "a fire truck": "red",
    "an eggplant": "purple", "a pumpkin": "orange", "a cucumber": "green", "salt": "white",
    "a lime": "green", "broccoli": "green", "a raspberry": "red", "a blueberry": "blue",
    "rain clouds": "grey", "an elephant": "grey", "a mouse": "grey", "mud": "brown",
    "a tree trunk": "brown", "lettuce": "green", "a lavender flower": "purple",
    "a sunflower": "yellow", "a swan": "white", "a pig": "pink", "blood": "red",
    "sugar": "white", "coffee": "brown", "spinach": "green", "a ladybird": "red",
    "a goldfish": "orange", "a chick": "yellow", "a raven": "black", "a daffodil": "yellow",
    "an emerald": "green", "a ruby": "red", "a plum": "purple",
}

ANIMAL_SOUNDS = {
    "dog": "woof", "cat": "meow", "cow": "moo", "sheep": "baa", "pig": "oink", "duck": "quack",
    "rooster": "cock-a-doodle-doo", "horse": "neigh", "owl": "hoo", "frog": "ribbit",
    "bee": "buzz", "snake": "hiss", "lion": "roar", "mouse": "squeak", "crow": "caw",
    "donkey": "hee-haw", "goose": "honk", "wolf": "howl", "turkey": "gobble",
    "pigeon": "coo", "chicken": "cluck", "bird": "tweet", "elephant": "trumpet",
    "cricket": "chirp", "monkey": "ooh ooh ah ah", "goat": "maa",
}

OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "day": "night", "fast": "slow",
    "happy": "sad", "light": "dark", "old": "young", "open": "closed", "wet": "dry",
    "hard": "soft", "high": "low", "left": "right", "full": "empty", "early": "late",
    "rich": "poor", "strong": "weak", "long": "short", "loud": "quiet", "clean": "dirty",
    "near": "far", "true": "false", "thick": "thin", "heavy": "light", "good": "bad",
    "first": "last", "inside": "outside", "summer": "winter", "black": "white", "begin": "end",
}

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()

NAMES = """Ada Adam Agnes Aisha Akira Alan Albert Alice Alma Amara Amir Amy Ana Andre Anita Anna
Anton Aria Arthur Astrid Aya Beatrice Ben Bianca Boris Bruno Camille Carla Carlos Cecilia Chen
Chloe Clara Claude Clement Cora Cyrus Dahlia Dana Daniel Daphne Dario David Deniz Diana Diego
Dina Dmitri Dora Edgar Edith Elena Eli Elias Elif Elin Ella Elsa Emil Emma Enzo Erik Esme Ethan
Eva Fatima Felix Fiona Flora Frank Freya Frida Gabriel George Gina Giulia Grace Greta Gustav
Hana Hanna Harry Hassan Hazel Heidi Helen Henry Hiro Hugo Ian Ibrahim Ida Igor Ines Ingrid Irene
Iris Isaac Isabel Ivan Ivy Jack Jacob Jana Jane Jasmin Jens Joanna Joel John Jonas Jorge Joseph
Josephine Julia Julian Juan Kai Karin Karl Kate Kenji Kira Klara Kofi Lars Laura Layla Lea Lena
Leo Leon Leila Liam Lily Lina Linda Linus Lola Louis Lucas Lucia Lucy Luis Luna Magnus Maja Malik
Marco Margaret Maria Marie Mario Marta Martin Mary Mateo Matilda Max Maya Mei Mia Michael Mila
Milan Milo Mina Mira Miriam Mohamed Mona Nadia Naomi Nathan Nia Nico Nikolai Nils Nina Noah Noor
Nora Olga Oliver Olivia Omar Oscar Otto Pablo Pascal Paul Paula Pedro Penelope Peter Philip Pia
Priya Quinn Rachel Rafael Rana Raj Ravi Rebecca Renata Rita Robert Robin Rosa Rose Ruben Ruth Ryan
Sam Samira Sara Sasha Selma Simon Sofia Sophie Stella Sven Sylvia Tara Tariq Teresa Theo Thomas
Tim Tina Tobias Tom Tomas Uma Ursula Vera Victor Viktor Vincent Viola Walter Wanda Wei William
Yara Yasmin Yuki Yusuf Zara Zoe José Zoë André Jürgen Søren Chloé Łukasz Renée""".split()

CITIES = """Aarhus Abuja Adelaide Algiers Amsterdam Antwerp Athens Auckland Austin Baku Bangkok
Barcelona Basel Beijing Belfast Bergen Berlin Bilbao Bogota Bologna Bordeaux Boston Bremen Brisbane
Bristol Brussels Budapest Cairo Calgary Cardiff Chicago Cologne Copenhagen Cork Dakar Dallas Delhi
Denver Detroit Doha Dresden Dubai Dublin Durban Edinburgh Florence Frankfurt Galway Gdansk Geneva
Genoa Ghent Glasgow Granada Graz Hamburg Hanoi Havana Helsinki Houston Innsbruck Istanbul Jakarta
Kampala Karachi Kigali Kingston Kobe Krakow Kyiv Kyoto Lagos Lausanne Leeds Leipzig Lima Lisbon
Liverpool London Lyon Madrid Malaga Malmo Manchester Manila Marseille Melbourne Miami Milan Minsk
Montreal Moscow Mumbai Munich Nagoya Nairobi Nantes Naples Nice Odense Osaka Oslo Ottawa Oxford
Palermo Paris Perth Phoenix Pisa Porto Portland Prague Pune Quebec Quito Riga Rome Rotterdam
Salzburg Santiago Sapporo Seattle Seoul Seville Shanghai Singapore Sofia Stockholm Stuttgart Sydney
Taipei Tallinn Tampere Toronto Toulouse Trieste Tunis Turin Turku Utrecht Valencia Vancouver Venice
Verona Vienna Vilnius Warsaw Wellington York Zagreb Zurich Tbilisi Yerevan Lviv Accra Lusaka
Maputo Luanda Windhoek Tirana Skopje Sarajevo Split Rijeka Plovdiv Cluj Brno Kaunas Tartu Uppsala
Stavanger Trondheim Reims Lille Nancy Dijon Metz Zürich München Malmö Córdoba Málaga""".split()

TWO_WORD_CITIES = ["New York", "San Francisco", "Los Angeles", "Cape Town", "Buenos Aires",
                   "Hong Kong", "Tel Aviv", "Addis Ababa", "Mexico City", "New Delhi",
                   "Kuala Lumpur", "San Diego", "Saint Petersburg", "Rio de Janeiro",
                   "Las Vegas", "Santa Cruz", "Port Louis", "Abu Dhabi"]

COLOURS = """red blue green yellow orange purple pink brown black white grey turquoise violet gold
silver crimson teal indigo beige lavender maroon magenta""".split()
PETS = """dog cat rabbit hamster parrot goldfish turtle horse lizard mouse ferret pony snake
canary guinea_pig frog hedgehog duck""".replace("_", "-").split()
FOODS = """pizza pasta sushi soup bread cheese rice noodles pancakes curry salad dumplings tacos
chocolate apples mangoes strawberries waffles risotto falafel lasagna ramen toast porridge
popcorn burgers pierogi paella couscous goulash""".split()
JOBS = """teacher nurse baker doctor painter farmer writer pilot engineer gardener plumber cook
singer dancer lawyer librarian carpenter programmer photographer fisherman tailor chemist
mechanic journalist florist""".split()
HOBBIES = """swimming reading painting dancing fishing chess running cooking gardening singing
climbing knitting skiing cycling hiking drawing sailing juggling pottery photography
astronomy archery surfing baking""".split()

OBJECTS = """apple pear book pen pencil cup plate chair table lamp clock key door window box bag
hat coat shoe sock ball kite drum bell boat train car bus bike candle stone shell leaf flower
button ribbon basket bottle spoon fork mirror pillow blanket ladder hammer bucket brush map coin
stamp ticket marble sticker cookie egg potato onion peach grape plum card letter balloon toy
magnet rope feather umbrella""".split()

STORY_HEROES = """fox rabbit bear mouse owl dragon robot knight princess king queen sailor pirate
wizard witch farmer baker painter cat dog horse pony whale dolphin turtle snail bee butterfly
hedgehog squirrel wolf lion elephant giraffe monkey crab duck goose frog penguin otter badger
giant elf fairy mermaid ghost clown astronaut teacher boy girl grandmother grandfather tailor
gardener train boat kite teapot lamp clock umbrella snowman star cloud tree flower stone river
violin balloon lighthouse bicycle kitten puppy lamb goat donkey parrot swan deer beaver camel
panda koala tiger zebra seal crow pigeon spider ant ladybird worm cricket firefly unicorn troll
detective inventor shepherd miller cook drummer singer dancer""".split()

HELD_OUT_HEROES = "raccoon kangaroo blacksmith scarecrow hamster vampire peacock walrus".split()

STORY_ADJECTIVES = """little brave shy lonely curious clever kind sleepy happy old young tiny big
silly grumpy gentle lost red blue green golden silver purple hungry quiet lazy proud friendly
magical clumsy wise cheerful forgetful striped fluffy invisible rusty singing dancing flying
talking""".split()

SPELLING_WORDS = """strawberry banana apple orange cherry lemon coconut pineapple blueberry
raspberry watermelon avocado potato tomato carrot pepper onion garlic cabbage lettuce cucumber
mushroom pumpkin spinach broccoli elephant giraffe kangaroo crocodile alligator hippopotamus
butterfly dragonfly caterpillar grasshopper squirrel raccoon penguin dolphin octopus jellyfish
computer keyboard window mountain river forest desert island ocean beach valley volcano glacier
library hospital school station airport restaurant bakery theatre museum stadium letter balloon
bottle pencil paper scissors hammer ladder mirror pillow blanket curtain carpet bookshelf
chocolate cookie pancake sandwich spaghetti cinnamon vanilla sugar butter cheese yogurt
mississippi tennessee wednesday december committee successful address happiness bubble puzzle
rabbit kitten puppy summer winter spring autumn thunder lightning rainbow sunshine snowflake
engine rocket satellite telescope bicycle motorcycle helicopter submarine tractor ambulance
guitar violin trumpet saxophone accordion drummer orchestra melody rhythm football basketball
tennis hockey swimming programmer scientist professor assistant beginning running common
different important interesting beautiful wonderful dangerous difficult tomorrow yesterday
together forever question answer sentence paragraph dictionary alphabet language grammar noodle
cocoa banana papaya mango parallel balloon coffee toffee bees tree green cheese sheep queen
book moon noon spoon zoom better little middle apple pepper hello yellow follow pillow""".split()
