"""One experiment's settings: a flat TOML file, `key=value` overrides, nothing hidden."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from posegram import data
from posegram.data import door

__all__ = ["Config"]

_CHOICES = {
    "schedule": ("cosine", "plateau", "step"),
    "cache": ("ram", "disk", "off"),
    "precision": ("auto", "bf16", "fp32"),
    "kernels": ("auto", "off"),
    "optimizer": ("adam", "adamw"),
    "match": ("name", "place"),
    "semi": ("off", "consistency", "teacher", "pseudo"),
    "front": ("lite0", "dense", "thin"),
}
_POSITIVE = (
    *("batch", "epochs", "channels", "step_epochs", "unlabelled_times"),
    *("size", "std", "margin", "scale", "bell", "rate", "step_factor"),
)
_NOT_NEGATIVE = (
    *("warmup", "epoch_people", "patience", "plateau_patience", "threads", "workers", "seed"),
    *(
        "people",
        "release",
        "semi_warmup",
        "semi_weight",
        "distill_weight",
        "nowhere",
        "guide",
        "refine",
    ),
    *("start_rate", "depth_rate", "decay", "clip"),
    *("turn", "shift", "brightness", "contrast", "colour"),
)
_SHARES = (
    *("turn_share", "any_turn", "flip", "blur", "framed", "cutout", "strength"),
    *("ema", "teacher_decay"),
)


@dataclass(frozen=True)
class Config:
    """Every setting of a training run; lengths are pixels and angles degrees, unless a line says.

    Durations are epochs or steps, as their lines say.

    Raises:
        ValueError: a value is not one of those that the setting takes.
    """

    name: str = "cnn"  # the run writes to folder/name
    folder: str = "runs"
    # data sets, "reader:path" or "reader:path#first-last"; of a YOLO set "yolo:data.yaml#val" is a
    # part, by default its `train`
    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()  # data sets to validate on; empty: `split` of `train` is kept apart
    images: str = ""  # folder of all pictures of `train` and `valid`; empty: as the labels say
    split: float = 0.1  # share of the photos kept apart for validation
    seed: int = 0
    people: int = 0  # people to train on, drawn by `seed` from all; 0: everybody
    # the joints to learn: a built-in name, a .toml file, or "data" for those of the first data set;
    # a joint that a data set lacks is masked
    skeleton: str = "lsp14"

    network: str = "cnn"  # see posegram.models.MODELS
    channels: int = 24  # width of the network: `width` of cnn, `head` of lite
    # lite and detector, first blocks: "lite0"'s or "dense"; "thin": that, and narrower blocks
    front: str = "lite0"
    refine: int = 0  # residual blocks a trained network grows by: lite's head, detector's body
    size: tuple[int, int] = (220, 220)  # height and width of a crop
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # on 0..255 RGB; with std 255: [0, 1]
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    margin: float = 1.25  # crop side / box side
    start: str = ""  # "": random weights; "imagenet"; a bundled model; .ckpt or our .onnx
    # joints begin as the start's of that name, `LKnee` as `left_knee`; "place": the others as the
    # one that it finds nearest to their labels
    match: str = "name"
    freeze: bool = False  # keep the first blocks of a started network as they are
    keep_norms: bool = False  # batch norms from the start keep their statistics (few people)
    release: int = 0  # epochs during which the whole started body is kept as it is

    turn: float = 30.0  # standard deviation of the random rotation
    turn_share: float = 0.6  # share of the crops that are turned
    any_turn: float = 0.0  # share of the crops that are turned by any angle up to 180
    scale: tuple[float, float] = (0.75, 1.33)  # range of the random zoom
    shift: float = 0.05  # standard deviation of the random translation / crop side
    flip: float = 0.5  # share of the crops that are mirrored
    brightness: float = 0.2  # largest change / white
    contrast: float = 0.3  # largest relative change
    colour: float = 0.0  # largest relative change of one colour channel
    blur: float = 0.0  # share of the crops that are blurred (half of them) or made grey
    framed: float = 0.0  # share of the crops whose photo ends within the person
    cutout: float = 0.0  # share of the crops with patches painted over
    strength: float = 0.0  # of everything else: patches, half bodies, light, noise, compression

    guide: float = 0.1  # regression: weight of a cross-entropy on the maps behind it; 0: MSE alone
    bell: float = 1.5  # heatmaps: standard deviation of a label's Gaussian, in cells
    nowhere: float = 0.0  # heatmaps: weight of a joint outside the photo, whose map is to be even
    optimizer: str = "adam"
    rate: float = 1e-3  # learning rate at its highest
    start_rate: float = 1.0  # factor on it for weights that came from `start`
    depth_rate: float = 1.0  # and once more for each block of the body away from the head
    decay: float = 0.0  # weight decay
    batch: int = 32
    epochs: int = 30
    epoch_people: int = 0  # people drawn an epoch, some twice if there are fewer; 0: everybody
    schedule: str = "cosine"
    warmup: int = 200  # steps from zero to `rate`; not with "plateau"
    step_epochs: int = 10  # "step": every so many epochs ...
    step_factor: float = 0.1  # ... and "plateau": the rate is multiplied by this
    plateau_patience: int = 3  # epochs without gain before "plateau" lowers the rate
    patience: int = 10  # epochs without gain before training stops early; 0: never
    clip: float = 5.0  # largest gradient norm
    ema: float = 0.0  # decay a step of the averaged weights; 0: off

    unlabelled: tuple[str, ...] = ()  # folders or data sets whose people help without labels
    semi: str = "off"  # how: "consistency", "teacher" (averaged) or "pseudo" (averaged, points)
    semi_weight: float = 1.0  # weight of what is learnt without labels
    semi_warmup: int = 200  # steps on labels alone; the weight rises over as many more
    unlabelled_times: int = 1  # people without labels in a step / people with labels
    teacher_decay: float = 0.99  # a step, of the averaged teacher

    distill: str = ""  # heatmaps: a trained network of which to learn beside the labels, as `start`
    distill_weight: float = 1.0  # weight of its maps / that of the labels

    precision: str = "auto"  # "auto" times bf16 and fp32 and takes the faster
    kernels: str = "auto"  # our own for bf16 on CPUs, compiled by c++ as a run starts; or "off"
    threads: int = 0  # CPU threads of torch; 0: its own choice
    workers: int = 0  # processes that prepare batches
    # where decoded crops are kept: "ram", "disk" (in the run's folder), "off"; whole photos, of
    # detector and rcnn, only in "ram"
    cache: str = "ram"

    def __post_init__(self) -> None:
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                raise ValueError(f"{key} = {getattr(self, key)!r}; it can be {', '.join(known)}")
        self._check_numbers()
        self._check_semi()

    def built(self) -> dict[str, Any]:
        """What a card says of the network's parts; see the networks in `posegram.models`."""
        parts: dict[str, Any] = {"network": self.network, "head": self.channels}
        if self.front != "lite0":
            parts["front"] = self.front
        return parts | {"refine": self.refine} if self.refine else parts

    def _check_numbers(self) -> None:
        self._check(_POSITIVE, lambda value: value > 0, "it must be positive")
        self._check(_NOT_NEGATIVE, lambda value: value >= 0, "it must not be negative")
        self._check(_SHARES, lambda value: 0 <= value <= 1, "it is a number from 0 to 1")
        self._check(("split",), lambda value: 0 < value < 1, "it is a share between 0 and 1")
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale = {list(self.scale)}; its first number must be the smaller")

    def _check(self, keys: Iterable[str], fits: Callable[[float], bool], rule: str) -> None:
        """See that every number of these settings fits."""
        for key in keys:
            value = getattr(self, key)
            if not all(map(fits, value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{key} = {_text(value)}; {rule}")

    def _check_semi(self) -> None:
        if (self.semi != "off") != bool(self.unlabelled):
            raise ValueError(
                f"semi = {self.semi!r} and unlabelled = {list(self.unlabelled)}; learning without "
                "labels needs both: how, and from whom"
            )
        if self.semi != "off" and self.distill:
            raise ValueError(
                f"semi = {self.semi!r} and distill = {self.distill!r}; a run has one teacher: its "
                "own average or a trained network"
            )

    @classmethod
    def read(cls, path: str | Path) -> Config:
        """The settings of a TOML file; what it leaves out has its default.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no TOML, or a key or value does not fit.
        """
        return cls().override(door.load_toml(Path(path), "settings file"))

    def override(self, *changes: str | dict[str, Any]) -> Config:
        """The same settings with some changed: "key=value" texts or a dict.

        >>> Config().override("epochs=3", "name=try").epochs
        3
        """
        values: dict[str, Any] = {}
        for change in changes:
            values |= change if isinstance(change, dict) else dict([_parsed(change)])
        known = {f.name: f for f in fields(self)}
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"no setting {key!r}; there are {', '.join(known)}")
            values[key] = _fitted(key, value, getattr(Config, key))
        return replace(self, **values)

    def to_toml(self) -> str:
        """All settings as a TOML file that `read` takes back."""
        return "".join(f"{key} = {_text(value)}\n" for key, value in asdict(self).items())

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files and folders of `train`, without their readers and ranges."""
        return tuple(data.pieces(spec).path for spec in self.train)

    @property
    def run(self) -> Path:
        """The run's folder."""
        return Path(self.folder) / self.name

    @property
    def pictures(self) -> Path | None:
        """The folder of the data sets' pictures; None: where each set's labels say."""
        return Path(self.images) if self.images else None


_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list",
}


def _parsed(change: str) -> tuple[str, Any]:
    key, equals, value = change.partition("=")
    if not equals:
        raise ValueError(f"{change!r} is no setting; write key=value")
    try:
        return key.strip(), tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value  # an unquoted text


def _fitted(key: str, value: Any, default: Any) -> Any:
    """The value with the default's type, or a sentence that says which type it should have."""
    if isinstance(default, tuple) and isinstance(value, str):
        value = [value] if value else []  # "train=" names no data set
    if isinstance(default, tuple) and isinstance(value, Iterable):
        value = tuple(value)
        if default and len(value) != len(default):
            raise ValueError(f"{key} takes {len(default)} values, not {len(value)}")
        return tuple(_fitted(key, v, default[0] if default else "") for v in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ValueError(f"{key} = {value!r}; it takes {_TYPES[type(default)]}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_text(v) for v in value)}]"
    return (
        '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(value, str)
        else repr(value)
    )
