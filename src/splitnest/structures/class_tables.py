"""Class tables of published datasets."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from splitnest.errors import UsageError
from splitnest.structures.categories import Categories, Category, from_ids, with_colors

_FILE = Path(__file__).with_suffix(".json")
"""Tables of mmdetection, mmsegmentation and detectron2, written by ``tools/upstream_tables.py``."""


@cache
def class_table(table: str) -> Categories:
    """Return the class table of a dataset.

    - ``coco``: the 80 detection classes, ids 1 to 90 with gaps.
    - ``coco_stuff``: the 53 stuff classes of COCO panoptic segmentation with their official colors, ids 92 to 200 with
      gaps. The older COCO-Stuff dataset has other classes.
    - ``imagenet``: ILSVRC 2012, ids from 0.
    - ``cityscapes``: the 19 training classes with their official colors; ids are the label ids, 7 to 33.
    - ``ade20k``: the 150 classes of the scene parsing benchmark with their official colors, ids from 1.
    - Detection classes with ids from 1: ``voc``, ``cityscapes_instances``, ``deepfashion``, ``lvis_v0.5`` (and
      ``lvis_v0.5_mmdet``, as mmdetection spells it), ``lvis_v1``, ``objects365_v1``, ``objects365_v2``, ``openimages``,
      ``openimages_challenge``.
    - Classes of label maps with mmsegmentation's colors, whose ids are pixel values, from 1 where 0 is unlabeled:
      ``voc_semantic``, ``pascal_context``, ``pascal_context_59``, ``coco_stuff_10k``, ``coco_stuff_164k``, ``loveda``,
      ``potsdam``, ``vaihingen``, ``isaid``, ``mapillary``.

    Args:
        table: Name of the table.

    Raises:
        UsageError: There is no such table.
    """
    if table == "coco":
        return from_ids((int(id_), name) for id_, name in _rows(_COCO))
    if table == "coco_stuff":
        stuff = ((int(id_), name, _from_hex(color)) for id_, name, color in _rows(_COCO_STUFF))
        return Categories(tuple(Category(*row, is_thing=False) for row in stuff))
    if table == "imagenet":
        from splitnest.structures.imagenet_names import NAMES

        return from_ids(enumerate(NAMES))
    if table == "cityscapes":
        return Categories(tuple(_cityscapes_category(*row) for row in _rows(_CITYSCAPES)))
    if table == "ade20k":
        rows = enumerate(_rows(_ADE20K), start=1)
        return Categories(tuple(Category(id_, name, _from_hex(color)) for id_, (name, color) in rows))
    tables = _tables()
    if table not in tables:
        raise UsageError(
            f"There is no class table {table!r}. The tables are coco, coco_stuff, imagenet, cityscapes, ade20k, "
            f"{', '.join(tables)}."
        )
    entry = tables[table]
    categories = from_ids(enumerate(entry["names"], start=entry["first_id"]))
    return with_colors(categories, map(_from_hex, entry["colors"])) if "colors" in entry else categories


@cache
def _tables() -> Any:
    return json.loads(_FILE.read_text(encoding="utf-8"))


def _rows(text: str) -> Iterator[list[str]]:
    """Split ``a=b; c=d``, with line breaks after semicolons, into ``[a, b]`` and ``[c, d]``."""
    for row in text.replace("\n", " ").strip().split("; "):
        yield row.split("=")


def _from_hex(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color)
    return red, green, blue


def _cityscapes_category(label_id: str, name: str, color: str) -> Category:
    """Return a Cityscapes class; humans and vehicles, with label ids from 24, are thing classes."""
    return Category(int(label_id), name, _from_hex(color), is_thing=int(label_id) >= 24)


# Source: official annotation files, instances_{train,val}2017.json. Rows: id=name.
_COCO = """
1=person; 2=bicycle; 3=car; 4=motorcycle; 5=airplane; 6=bus; 7=train; 8=truck; 9=boat; 10=traffic light;
11=fire hydrant; 13=stop sign; 14=parking meter; 15=bench; 16=bird; 17=cat; 18=dog; 19=horse; 20=sheep; 21=cow;
22=elephant; 23=bear; 24=zebra; 25=giraffe; 27=backpack; 28=umbrella; 31=handbag; 32=tie; 33=suitcase; 34=frisbee;
35=skis; 36=snowboard; 37=sports ball; 38=kite; 39=baseball bat; 40=baseball glove; 41=skateboard; 42=surfboard;
43=tennis racket; 44=bottle; 46=wine glass; 47=cup; 48=fork; 49=knife; 50=spoon; 51=bowl; 52=banana; 53=apple;
54=sandwich; 55=orange; 56=broccoli; 57=carrot; 58=hot dog; 59=pizza; 60=donut; 61=cake; 62=chair; 63=couch;
64=potted plant; 65=bed; 67=dining table; 70=toilet; 72=tv; 73=laptop; 74=mouse; 75=remote; 76=keyboard;
77=cell phone; 78=microwave; 79=oven; 80=toaster; 81=sink; 82=refrigerator; 84=book; 85=clock; 86=vase; 87=scissors;
88=teddy bear; 89=hair drier; 90=toothbrush
"""

# Source: panopticapi panoptic_coco_categories.json, stuff classes. Rows: id=name=color.
_COCO_STUFF = """
92=banner=ffff80; 93=blanket=93d3cb; 95=bridge=966464; 100=cardboard=a8abac; 107=counter=9270c6; 109=curtain=d2aa64;
112=door-stuff=5c8859; 118=floor-wood=da58b8; 119=flower=f18100; 122=fruit=d911ff; 125=gravel=7c4ab5; 128=house=464646;
130=light=ffe4ff; 133=mirror-stuff=9ad000; 138=net=c1005c; 141=pillow=4c5b71; 144=platform=ffb4c3;
145=playingfield=6a9ab0; 147=railroad=e6968c; 148=river=3c8fff; 149=road=804080; 151=roof=5c5237; 154=sand=fed47c;
155=sea=494dae; 156=shelf=ffa062; 159=snow=ffffff; 161=stairs=68546d; 166=tent=a9a483; 168=towel=e1c7ff;
171=wall-brick=89364a; 175=wall-stone=879edf; 176=wall-tile=07f6e7; 177=wall-wood=6bffc8; 178=water-other=3a2995;
180=window-blind=b7798e; 181=window-other=ff4961; 184=tree-merged=6b8e23; 185=fence-merged=be9999;
186=ceiling-merged=928b8d; 187=sky-other-merged=4682b4; 188=cabinet-merged=86c79c; 189=table-merged=d1e28c;
190=floor-other-merged=60246c; 191=pavement-merged=606060; 192=mountain-merged=40aa40; 193=grass-merged=98fb98;
194=dirt-merged=d0e5e4; 195=paper-merged=cebaab; 196=food-other-merged=98a140; 197=building-other-merged=747000;
198=rock-merged=00728f; 199=wall-other-merged=66669c; 200=rug-merged=fa8dff
"""

# Source: cityscapesScripts helpers/labels.py, labels with a train id in its order. Rows: label id=name=color.
_CITYSCAPES = """
7=road=804080; 8=sidewalk=f423e8; 11=building=464646; 12=wall=66669c; 13=fence=be9999; 17=pole=999999;
19=traffic light=faaa1e; 20=traffic sign=dcdc00; 21=vegetation=6b8e23; 22=terrain=98fb98; 23=sky=4682b4;
24=person=dc143c; 25=rider=ff0000; 26=car=00008e; 27=truck=000046; 28=bus=003c64; 31=train=005064;
32=motorcycle=0000e6; 33=bicycle=770b20
"""

# Source: CSAILVision sceneparsing, objectInfo150 (first name of each class; class 90 as in mmsegmentation) and palette.
# Rows: name=color.
_ADE20K = """
wall=787878; building=b47878; sky=06e6e6; floor=503232; tree=04c803; ceiling=787850; road=8c8c8c; bed=cc05ff;
windowpane=e6e6e6; grass=04fa07; cabinet=e005ff; sidewalk=ebff07; person=96053d; earth=787846; door=08ff33;
table=ff0652; mountain=8fff8c; plant=ccff04; curtain=ff3307; chair=cc4603; car=0066c8; water=3de6fa; painting=ff0633;
sofa=0b66ff; shelf=ff0747; house=ff09e0; sea=0907e6; mirror=dcdcdc; rug=ff095c; field=7009ff; armchair=08ffd6;
seat=07ffe0; fence=ffb806; desk=0aff47; rock=ff290a; wardrobe=07ffff; lamp=e0ff08; bathtub=6608ff; railing=ff3d06;
cushion=ffc207; base=ff7a08; box=00ff14; column=ff0829; signboard=ff0599; chest of drawers=0633ff; counter=eb0cff;
sand=a09614; sink=00a3ff; skyscraper=8c8c8c; fireplace=fa0a0f; refrigerator=14ff00; grandstand=1fff00; path=ff1f00;
stairs=ffe000; runway=99ff00; case=0000ff; pool table=ff4700; pillow=00ebff; screen door=00adff; stairway=1f00ff;
river=0bc8c8; bridge=ff5200; bookcase=00fff5; blind=003dff; coffee table=00ff70; toilet=00ff85; flower=ff0000;
book=ffa300; hill=ff6600; bench=c2ff00; countertop=008fff; stove=33ff00; palm=0052ff; kitchen island=00ff29;
computer=00ffad; swivel chair=0a00ff; boat=adff00; bar=00ff99; arcade machine=ff5c00; hovel=ff00ff; bus=ff00f5;
towel=ff0066; light=ffad00; truck=ff0014; tower=ffb8b8; chandelier=001fff; awning=00ff3d; streetlight=0047ff;
booth=ff00cc; television receiver=00ffc2; airplane=00ff52; dirt track=000aff; apparel=0070ff; pole=3300ff;
land=00c2ff; bannister=007aff; escalator=00ffa3; ottoman=ff9900; bottle=00ff0a; buffet=ff7000; poster=8fff00;
stage=5200ff; van=a3ff00; ship=ffeb00; fountain=08b8aa; conveyer belt=8500ff; canopy=00ff5c; washer=b800ff;
plaything=ff001f; swimming pool=00b8ff; stool=00d6ff; barrel=ff0070; basket=5cff00; waterfall=00e0ff; tent=70e0ff;
bag=46b8a0; minibike=a300ff; cradle=9900ff; oven=47ff00; ball=ff00a3; food=ffcc00; step=ff008f; tank=00ffeb;
trade name=85ff00; microwave=ff00eb; pot=f500ff; animal=ff007a; bicycle=fff500; lake=0abed4; dishwasher=d6ff00;
screen=00ccff; blanket=1400ff; sculpture=ffff00; hood=0099ff; sconce=0029ff; vase=00ffcc; traffic light=2900ff;
tray=29ff00; ashcan=ad00ff; fan=00f5ff; pier=4700ff; crt screen=7a00ff; plate=00ffb8; monitor=005cff;
bulletin board=b8ff00; shower=0085ff; radiator=ffd600; glass=19c2c2; clock=66ff00; flag=5c00ff
"""
