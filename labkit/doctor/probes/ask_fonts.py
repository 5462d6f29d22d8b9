"""Which of matplotlib's fonts have Chinese letters?"""

import json
import re

# Families that hold Chinese letters, of the usual systems.
LIKELY = re.compile(
    r"CJK|Source Han|WenQuanYi|LXGW|Sarasa|Sim(Hei|Sun)|YaHei|PingFang|Heiti"
    r"|Songti|KaiTi|FangSong|Hiragino Sans GB|Arial Unicode|Droid Sans Fall"
    r"|Noto S\w+ [ST]C|JhengHei|MingLiU"
)
LETTERS = "实验报告"  # lab report


def say(**facts):
    print(json.dumps(facts), flush=True)


def chinese():
    """Families in which every one of LETTERS is found."""
    from matplotlib import font_manager, ft2font

    found = set()
    for font in font_manager.fontManager.ttflist:
        if font.name in found or not LIKELY.search(font.name):
            continue
        try:
            face = ft2font.FT2Font(font.fname)
        except (OSError, RuntimeError):
            continue  # removed since the list was made
        if all(face.get_char_index(ord(letter)) for letter in LETTERS):
            found.add(font.name)
    return sorted(found)


def main():
    import matplotlib

    say(font_cache=matplotlib.get_cachedir())
    say(chinese=chinese())


if __name__ == "__main__":
    main()
