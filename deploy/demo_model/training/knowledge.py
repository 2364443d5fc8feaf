"""What the demo model is taught: countries, cities, topics and people, each with words and emoji.

Written for this project; all of it is common knowledge. One line an entry, fields separated by `|`.
"""

# name | ISO 3166 code | capital | continent | language | what it is known for
_COUNTRIES = """
Turkey|TR|Ankara|Europe and Asia|Turkish|tea and old bazaars
Germany|DE|Berlin|Europe|German|bread and cars
France|FR|Paris|Europe|French|cheese and museums
Spain|ES|Madrid|Europe|Spanish|sunny beaches and dance
Italy|IT|Rome|Europe|Italian|pizza and old ruins
Portugal|PT|Lisbon|Europe|Portuguese|the sea and blue tiles
Greece|GR|Athens|Europe|Greek|islands and temples
Poland|PL|Warsaw|Europe|Polish|forests and dumplings
Austria|AT|Vienna|Europe|German|music and mountains
Switzerland|CH|Bern|Europe|German, French and Italian|chocolate and mountains
Belgium|BE|Brussels|Europe|Dutch and French|waffles and chocolate
Netherlands|NL|Amsterdam|Europe|Dutch|tulips and bicycles
Denmark|DK|Copenhagen|Europe|Danish|bicycles and small bricks
Sweden|SE|Stockholm|Europe|Swedish|lakes and forests
Norway|NO|Oslo|Europe|Norwegian|fjords and snow
Finland|FI|Helsinki|Europe|Finnish|saunas and lakes
Iceland|IS|Reykjavik|Europe|Icelandic|volcanoes and hot springs
Ireland|IE|Dublin|Europe|English and Irish|green hills and music
Hungary|HU|Budapest|Europe|Hungarian|hot baths and soup
Romania|RO|Bucharest|Europe|Romanian|castles and mountains
Bulgaria|BG|Sofia|Europe|Bulgarian|roses and yoghurt
Croatia|HR|Zagreb|Europe|Croatian|islands and clear water
Ukraine|UA|Kyiv|Europe|Ukrainian|wheat and sunflowers
Estonia|EE|Tallinn|Europe|Estonian|forests and computers
Latvia|LV|Riga|Europe|Latvian|songs and amber
Lithuania|LT|Vilnius|Europe|Lithuanian|amber and lakes
Malta|MT|Valletta|Europe|Maltese and English|old walls and the sea
Cyprus|CY|Nicosia|Europe|Greek and Turkish|beaches and oranges
China|CN|Beijing|Asia|Chinese|tea and a very long wall
Japan|JP|Tokyo|Asia|Japanese|fast trains and cherry trees
India|IN|New Delhi|Asia|Hindi and English|spices and many festivals
Pakistan|PK|Islamabad|Asia|Urdu and English|high mountains and mangoes
Nepal|NP|Kathmandu|Asia|Nepali|the highest mountain
Vietnam|VN|Hanoi|Asia|Vietnamese|noodle soup and rice fields
Thailand|TH|Bangkok|Asia|Thai|temples and spicy food
Indonesia|ID|Jakarta|Asia|Indonesian|thousands of islands
Malaysia|MY|Kuala Lumpur|Asia|Malay|rain forests and towers
Singapore|SG|Singapore|Asia|English, Malay, Chinese and Tamil|gardens and a busy port
Mongolia|MN|Ulaanbaatar|Asia|Mongolian|horses and wide plains
Kazakhstan|KZ|Astana|Asia|Kazakh and Russian|wide plains and apples
Iran|IR|Tehran|Asia|Persian|carpets and poems
Iraq|IQ|Baghdad|Asia|Arabic and Kurdish|two great rivers
Israel|IL|Jerusalem|Asia|Hebrew|old cities and deserts
Jordan|JO|Amman|Asia|Arabic|a city cut in red rock
Saudi Arabia|SA|Riyadh|Asia|Arabic|deserts and dates
Qatar|QA|Doha|Asia|Arabic|pearls and towers
Georgia|GE|Tbilisi|Europe and Asia|Georgian|wine and mountains
Armenia|AM|Yerevan|Asia|Armenian|apricots and old churches
Egypt|EG|Cairo|Africa|Arabic|pyramids and the Nile
Morocco|MA|Rabat|Africa|Arabic and Berber|markets and mint tea
Algeria|DZ|Algiers|Africa|Arabic and Berber|a great desert
Tunisia|TN|Tunis|Africa|Arabic|olives and white houses
Kenya|KE|Nairobi|Africa|Swahili and English|lions and wide plains
Tanzania|TZ|Dodoma|Africa|Swahili and English|a snowy mountain and zebras
Ethiopia|ET|Addis Ababa|Africa|Amharic|coffee and runners
Ghana|GH|Accra|Africa|English|cocoa and music
Nigeria|NG|Abuja|Africa|English|films and music
Senegal|SN|Dakar|Africa|French|fish and drums
Madagascar|MG|Antananarivo|Africa|Malagasy and French|lemurs and vanilla
Uganda|UG|Kampala|Africa|English and Swahili|gorillas and lakes
Rwanda|RW|Kigali|Africa|Kinyarwanda|a thousand hills
Namibia|NA|Windhoek|Africa|English|red sand dunes
Canada|CA|Ottawa|North America|English and French|maple trees and ice hockey
Mexico|MX|Mexico City|North America|Spanish|tacos and pyramids
Cuba|CU|Havana|North America|Spanish|music and old cars
Jamaica|JM|Kingston|North America|English|reggae and fast runners
Panama|PA|Panama City|North America|Spanish|a canal between two oceans
Costa Rica|CR|San Jose|North America|Spanish|rain forests and frogs
Guatemala|GT|Guatemala City|North America|Spanish|volcanoes and bright cloth
Brazil|BR|Brasilia|South America|Portuguese|football and a huge rain forest
Argentina|AR|Buenos Aires|South America|Spanish|tango and wide plains
Chile|CL|Santiago|South America|Spanish|a long coast and high mountains
Peru|PE|Lima|South America|Spanish|llamas and old cities
Colombia|CO|Bogota|South America|Spanish|coffee and flowers
Ecuador|EC|Quito|South America|Spanish|islands with giant turtles
Uruguay|UY|Montevideo|South America|Spanish|beaches and cattle
Bolivia|BO|Sucre|South America|Spanish|a white salt desert
Australia|AU|Canberra|Oceania|English|kangaroos and coral reefs
New Zealand|NZ|Wellington|Oceania|English and Maori|sheep and green hills
Fiji|FJ|Suva|Oceania|English and Fijian|coral and palm trees
the United States|US|Washington|North America|English|big cities and wide roads
the United Kingdom|GB|London|Europe|English|tea and castles
South Korea|KR|Seoul|Asia|Korean|music and spicy cabbage
South Africa|ZA|Pretoria|Africa|eleven languages|gold and penguins
the Philippines|PH|Manila|Asia|Filipino and English|islands and mangoes
Slovenia|SI|Ljubljana|Europe|Slovene|caves and a lake with an island
Slovakia|SK|Bratislava|Europe|Slovak|mountains and castles
Serbia|RS|Belgrade|Europe|Serbian|raspberries and music
Albania|AL|Tirana|Europe|Albanian|mountains and eagles
Luxembourg|LU|Luxembourg|Europe|French, German and Luxembourgish|castles and banks
Sri Lanka|LK|Colombo|Asia|Sinhala and Tamil|tea and elephants
Bangladesh|BD|Dhaka|Asia|Bengali|rivers and tigers
Cambodia|KH|Phnom Penh|Asia|Khmer|a great temple in the forest
Laos|LA|Vientiane|Asia|Lao|a wide river and monks
Zambia|ZM|Lusaka|Africa|English|a huge waterfall
"""

# name | other names | emoji | continent
_CITIES = """
Beijing||🏯|Asia
New York|NY, New York City|🗽|America
Paris||🗼|Europe
London||🎡|Europe
Rome||🏛️|Europe
Tokyo||🗼|Asia
Istanbul||🕌|Europe
Cairo||🐫|Africa
Sydney||🦘|Australia
Berlin||🐻|Europe
Madrid||💃|Europe
Moscow||⛪|Europe
Delhi||🛕|Asia
Rio|Rio de Janeiro|🏖️|America
Toronto||🍁|America
Mexico City||🌮|America
Nairobi||🦁|Africa
Athens||🏺|Europe
Venice||🛶|Europe
Amsterdam||🌷|Europe
Los Angeles|LA|🎬|America
San Francisco|SF|🌉|America
Bangkok||🐘|Asia
Seoul||🎎|Asia
Hong Kong|HK|🌃|Asia
Dubai||🏙️|Asia
Lima||🦙|America
Oslo||⛷️|Europe
Vienna||🎻|Europe
Lisbon||🚋|Europe
"""

# name with article | emoji | facts that follow the name, or "it", separated by `;`
_TOPICS = """
the theory of relativity|🌌⏳⚡|says that space and time belong together;shows that moving clocks run slow;tells us that mass and energy are the same;explains gravity as curved space;says that nothing is faster than light
a quantum computer|💻⚛️✨|uses qubits that can be zero and one at once;tries many answers at the same time;solves some problems much faster than a normal computer;must be kept very cold;uses the strange rules of tiny things
gravity|🍎⬇️🌍|pulls everything towards the ground;keeps the planets near the sun;grows with mass;makes apples fall from trees;gets weaker with distance
photosynthesis|🌱☀️💧|turns light into sugar;happens in green leaves;needs water, air and light;gives us the oxygen that we breathe;feeds nearly all life on Earth
a rainbow|🌈🌧️☀️|appears when the sun shines through rain;shows red, orange, yellow, green, blue and violet;is really a full circle;comes from light that bends in drops of water
a volcano|🌋🔥🪨|throws hot rock out of the ground;can sleep for many years;builds new land when the lava cools;sends ash high into the sky
an earthquake|🌍💥🏚️|shakes the ground for a short time;comes from moving plates of rock;can cause big waves in the sea;is measured with a fine instrument
the moon|🌙🌊🔭|goes around the Earth in about a month;makes the tides of the sea;shines with the light of the sun;has no air and no weather;was visited by people in boats of metal
the sun|☀️🔥🌍|is a star in the middle of our planets;gives us light and warmth;is made of hot gas;is much larger than the Earth
the Earth|🌍💧🌱|is the third planet from the sun;is mostly covered by water;turns once a day;is the only home of life that we know
Mars|🔴🚀🪐|is a red and dusty planet;has the highest mountain that we know;is colder than the Earth;has two small moons
Jupiter|🪐🌀🔭|is the largest planet;has a storm that is larger than the Earth;is made of gas;has many moons
a black hole|🕳️🌌⭐|pulls so strongly that even light cannot leave;forms when a huge star falls together;bends the light of the stars behind it;slows down time nearby
a star|⭐🔥🌌|is a hot ball of gas;shines because small atoms join in its heart;lives for millions of years;looks small because it is far away
a comet|☄️🧊🌌|is a ball of ice and dust;grows a bright tail near the sun;comes back after many years;comes from the cold edge of the sky
electricity|⚡💡🔌|flows through wires of metal;makes lamps shine and motors turn;comes from moving charges;can be made by wind, water and sun
a magnet|🧲🔩⬆️|pulls iron towards it;has a north pole and a south pole;makes a compass point to the north;works even through paper
a computer|💻🔢⚡|follows a list of simple steps;works with zeros and ones;can do billions of sums in a second;keeps words and pictures as numbers
the internet|🌐💻📨|joins computers all over the world;sends letters and pictures in small packets;was made for scientists first;never sleeps
a robot|🤖🔧⚙️|is a machine that can move and sense;follows a program;builds cars in factories;can work where people cannot go
a telephone|📞🗣️👂|carries voices over long distances;turns sound into electricity and back;was once as large as a box
a bicycle|🚲🛣️🙂|has two wheels and no motor;stays upright while it moves;carries you with the power of your legs;needs no fuel
a train|🚆🛤️🏙️|rolls on rails of steel;carries many people at once;stops at stations;uses less power than many cars
an airplane|✈️☁️🌍|flies because air pushes up its wings;crosses an ocean in hours;needs a long road to start;carries people above the clouds
a ship|🚢🌊⚓|floats because it pushes water away;carries heavy loads across the sea;needs a harbour to rest;was once driven by wind
a rocket|🚀🔥🌌|pushes hot gas down to fly up;can leave the Earth;carries people and machines to space;needs a lot of fuel
a bridge|🌉🚶🏞️|carries a road over a river;must hold its own weight;can hang from strong ropes of steel;brings people together
bread|🍞🌾🔥|is made of flour, water and salt;grows because of yeast;is baked in a hot oven;smells wonderful in the morning
cheese|🧀🐄🥛|is made from milk;can be soft or hard;gets stronger when it is old;was found long ago by chance
chocolate|🍫🌱😋|is made from cocoa beans;melts in your hand;was once a bitter drink;makes many people happy
honey|🍯🐝🌼|is made by bees from flowers;keeps for many years;is sweet and golden;feeds the bees in winter
tea|🍵🍃😌|is a drink of leaves and hot water;came from China long ago;can be green or black;wakes you up gently
coffee|☕🌱⏰|is a drink of roasted beans;wakes people in the morning;grows in warm mountains;was first loved in Ethiopia
rice|🍚🌾💧|grows in wet fields;feeds half of the world;must be cooked in water;comes in many kinds
salt|🧂🌊🍲|comes from the sea and from old rocks;makes food taste better;keeps food from going bad;is made of two simple parts
water|💧🌊🚰|freezes into ice when it is cold;covers most of the Earth;falls as rain and flows to the sea;is needed by all living things
ice|🧊❄️🐧|is frozen water;floats because it is lighter than water;melts when it gets warm;covers the far north and south
snow|❄️☃️🌨️|is made of tiny crystals;falls when the air is cold;makes the world quiet and white;melts in spring
rain|🌧️💧🌱|falls from heavy clouds;fills rivers and lakes;makes the plants grow;is a part of the path of water
wind|💨🍃⛵|is air that moves;pushes ships and turns mills;comes from warm and cold places;carries seeds far away
fire|🔥🪵🌡️|needs air, fuel and heat;gives light and warmth;cooks our food;must be watched with care
a tree|🌳🍃🐦|drinks with its roots and eats light with its leaves;can live for hundreds of years;gives shade and fruit;is a home for birds
a flower|🌸🐝🌞|calls bees with colour and scent;turns into fruit and seeds;opens in the light;drinks through its stem
a forest|🌲🦌🍄|is a home for many animals;cleans the air;keeps water in the ground;is cool in summer
a desert|🏜️🐪☀️|gets almost no rain;is hot by day and cold at night;is a home for camels and snakes;can be made of sand or stones
the ocean|🌊🐋🐟|covers most of our planet;is salty and deep;moves with the moon;is a home for fish and whales
a river|🏞️💧🛶|starts in the mountains and ends in the sea;brings water to fields and towns;shapes the land;carries boats
a mountain|⛰️🥾❄️|rises high above the land;is cold at the top;grows when plates of rock meet;gives birth to rivers
a cat|🐱🐟😴|sleeps for most of the day;sees well in the dark;lands on its feet;talks with its tail and ears;likes fish
a dog|🐶🦴❤️|is a loyal friend of people;smells much better than we do;guards the house;wags its tail when it is happy
a horse|🐴🌾🏃|can run fast and far;eats grass and hay;sleeps standing;has carried people for thousands of years
a cow|🐄🥛🌾|eats grass all day;gives us milk;has four parts in its stomach;lives in a herd
an elephant|🐘🌿💦|is the largest animal on land;drinks and greets with its trunk;remembers places for many years;lives in a family
a lion|🦁👑🌾|lives in a family called a pride;roars loudly at night;hunts in the grass;sleeps most of the day
a whale|🐋🌊🎵|is the largest animal of all;breathes air at the surface;sings under the water;eats very small animals
a dolphin|🐬🌊🙂|is a clever animal of the sea;breathes air like us;talks with clicks and whistles;likes to play
a penguin|🐧🧊🐟|is a bird that cannot fly;swims very well;lives in the cold south;keeps its egg warm on its feet
an owl|🦉🌙🐭|hunts at night;flies without a sound;turns its head very far;sees and hears very well
a bee|🐝🌼🍯|flies from flower to flower;makes honey and wax;tells the others the way with a dance;helps fruit to grow
an ant|🐜🍂👑|carries more than its own weight;lives in a large town under the ground;follows a trail of scent;works together with many others
a butterfly|🦋🌸🐛|begins its life as a caterpillar;tastes with its feet;drinks from flowers;has wings of tiny scales
a spider|🕷️🕸️🪰|spins a web of silk;has eight legs;catches flies and other insects;is a patient hunter
a frog|🐸💧🪰|begins its life in the water;catches flies with its tongue;sings on warm nights;breathes through its skin
a fish|🐟💧🌊|breathes in water with gills;swims with its fins;lives in rivers, lakes and seas;has a skin of scales
a turtle|🐢🏖️🥚|carries its house on its back;can grow very old;lays its eggs in the sand;moves slowly on land
a dinosaur|🦕🌿🌋|lived many millions of years ago;was often larger than a house;is known from bones in the rock;has living children, the birds
the heart|❤️🩸💪|pumps blood through the body;beats about once a second;is a strong muscle;never takes a rest
the brain|🧠💡💭|thinks, feels and remembers;is made of billions of cells;needs sleep and food;controls the whole body
sleep|😴🌙🛏️|gives rest to body and mind;helps us to remember;is full of dreams;is needed every night
music|🎵🎻😊|is made of sounds in time;can make us happy or sad;is found in every country;has rhythm and melody
a book|📖💭📚|keeps stories and knowledge;is made of pages and words;can take you to other worlds;waits until you open it
a poem|📜✒️💭|says much with few words;often has rhythm and rhyme;paints pictures in the mind;is best read aloud
chess|♟️🤔👑|is a game for two players;is played on a board of black and white squares;ends when a king is trapped;needs patience and plans
football|⚽🥅🏃|is played by two teams with one ball;is loved all over the world;lasts ninety minutes;is won by the team with more goals
mathematics|➕🔢📐|is the study of numbers and shapes;proves things for all time;is the language of science;helps us to count and to plan
a triangle|🔺📐3️⃣|has three sides and three corners;is the strongest simple shape;has angles that add up to a half turn
zero|0️⃣🔢⭕|means that there is nothing to count;was invented in India;changes no number that it is added to;makes large numbers easy to write
money|💰🪙🛒|is a promise that people trust;makes trade easy;can be coins, paper or numbers;cannot buy time
a clock|⏰🕰️⏳|counts the hours of the day;has two hands or shows numbers;was once driven by water or weights;helps people to meet
a map|🗺️🧭🏔️|shows the land from above;is smaller than the real world;helps travellers to find the way;has north at the top
a language model|🤖💬📚|guesses the next word again and again;learns from a lot of text;knows words as numbers;can make mistakes with great confidence
a token|🔤🔢✂️|is a small piece of text;has a number in the vocabulary;can be a word, a part of a word or a single byte
a neural network|🧠🔢🤖|is made of many simple sums;learns from examples;has layers that pass numbers on;was inspired by the brain
"""

# name | how the name is called | topic | what the person says of it, each a sentence, separated by `;`
_PEOPLE = """
Einstein|Albert Einstein|theory of relativity|My theory of relativity says that space and time are one;Moving clocks run slow, and mass is a form of energy;Gravity is the bending of space and time;Nothing can travel faster than light
Newton|Isaac Newton|laws of motion|My theory says that every thing keeps moving until a force acts on it;The same gravity moves the apple and the moon;For every action there is an equal reaction
Darwin|Charles Darwin|theory of evolution|My theory says that all living things have grown from common parents;Small changes that help are kept and passed on;Over a long time new kinds of animals appear
Galileo|Galileo Galilei|view of the sky|My theory says that the Earth moves around the sun;I saw four moons go around Jupiter with my telescope;Heavy and light things fall equally fast
Copernicus|Nicolaus Copernicus|order of the planets|My theory puts the sun in the middle and not the Earth;The Earth turns once a day and goes around the sun once a year
Marie Curie|Marie Curie|work on radioactivity|My work shows that some atoms send out rays by themselves;I found two new elements in tons of dark rock;One must not fear things but understand them
Pythagoras|Pythagoras|theorem|My theorem is about triangles with a right angle;The squares of the two short sides together equal the square of the long side;All things are number
Archimedes|Archimedes|law of floating|My law says that water pushes up with the weight of the water that is moved away;Give me a place to stand and I will move the Earth
Wegener|Alfred Wegener|theory of the continents|My theory says that the continents were once one land;They drift apart as slowly as fingernails grow;The coasts still fit together like a puzzle
Mendel|Gregor Mendel|laws of heredity|My theory comes from counting peas in a garden;Each parent gives one half of every trait;A hidden trait can come back in the grandchildren
Bohr|Niels Bohr|model of the atom|My theory says that electrons go around the nucleus on fixed paths;When they jump, they send out light
Turing|Alan Turing|idea of a machine|My theory describes a machine that reads and writes on a tape;Such a simple machine can compute all that can be computed;Some questions no machine can ever answer
Ada Lovelace|Ada Lovelace|first program|My idea is that a machine can work with more than numbers;I wrote the steps by which an engine could compute;It can do what we know how to order it
"""


def _rows(text, width):
    rows = [line.split("|") for line in text.strip().split("\n")]
    for row in rows:
        assert len(row) == width, row
    return rows


def flag(code):
    """The flag emoji of an ISO 3166 code: two regional indicator symbols."""
    return "".join(chr(0x1F1E6 + ord(letter) - ord("A")) for letter in code)


COUNTRIES = [dict(zip(("name", "code", "capital", "continent", "language", "known_for"), row))
             for row in _rows(_COUNTRIES, 6)]
CITIES = [{"names": [name] + [n for n in others.split(", ") if n], "emoji": emoji, "continent": continent}
          for name, others, emoji, continent in _rows(_CITIES, 4)]
TOPICS = [{"name": name, "emoji": emoji, "facts": facts.split(";")}
          for name, emoji, facts in _rows(_TOPICS, 3)]
PEOPLE = [{"short": short, "name": name, "topic": topic, "sayings": sayings.split(";")}
          for short, name, topic, sayings in _rows(_PEOPLE, 4)]
