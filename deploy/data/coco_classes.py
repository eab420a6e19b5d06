"""The eighty classes of COCO, and their ids, which have gaps.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014.
"""

from __future__ import annotations

_NAMES_AND_GAPS = """
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,
parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,
handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,
surfboard,tennis racket,bottle,,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,
broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,,dining table,,,toilet,,tv,
laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,,book,clock,vase,
scissors,teddy bear,hair drier,toothbrush
"""

COCO_IDS: dict[str, int] = {
    name: number
    for number, name in enumerate(_NAMES_AND_GAPS.replace("\n", "").split(","), start=1)
    if name
}
"""Name of each class to its id, from 1 to 90."""
