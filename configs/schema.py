"""Every setting, its unit, its default and its bounds: one frozen model per stage.

The defaults are those of the `street` preset where a preset does not say otherwise; the YAML files
beside this one hold what differs. Sections: categories, input, model, flow, detect, track, panoptic,
encode, run, train.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core import PydanticCustomError

from configs.categories import CATEGORY_SETS, CITYSCAPES, Category, check_categories

Fraction01 = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
OWN_RAY = "local"
"""The address of a Ray that a run starts for itself."""
RAY_CLIENT = "ray://"
"""What addresses of Ray Client servers begin with."""
Part = Literal["backbone", "pyramid", "fusion", "semantic", "proposals", "box", "mask", "track"]
"""Of the network (`models.vpsnet.PARTS`)."""


def _set_of_name(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in CATEGORY_SETS:
        names = ", ".join(CATEGORY_SETS)
        raise PydanticCustomError("categories", f"Must be a list of categories, or one of: {names}")
    return CATEGORY_SETS[value]


def _checked(categories: tuple[Category, ...]) -> tuple[Category, ...]:
    try:
        check_categories(categories)
    except ValueError as error:
        raise PydanticCustomError("categories", "{reason}", {"reason": str(error)}) from None
    return categories


class Section(BaseModel):
    """Base of all sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class InputSettings(Section):
    """From a decoded picture to the network's input."""

    short_side_px: Annotated[int, Field(ge=32)] = 448
    """The shorter side is resized to this, aspect kept."""
    max_long_side_px: Annotated[int, Field(ge=32)] = 1120
    """Unless the longer side would exceed this."""
    max_frame_px: Positive = 2**26
    """A source with larger pictures is refused, by its header or on the way: a few bytes can declare more
    than the memory holds. 67 million: twice 8K."""
    corrupt_packets: Literal["skip", "fail"] = "skip"
    """What a packet does that cannot be decoded: its pictures are left out and counted, or the run ends."""
    open_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    """How long a server may take until it sends a video."""
    read_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """How long it may send nothing after that; then the run ends, and --resume goes on."""
    frame_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long a live source may show no picture; then it is connected to anew."""
    max_retries: Annotated[int, Field(ge=0)] | None = None
    """How often in a row that is tried; then the run of the stream fails. None: for ever."""
    on_full: Literal["auto", "newest", "wait"] = "auto"
    """What becomes of a live source's pictures that come faster than they are processed: the newest is taken
    and the others are left out, or the source has to wait. auto: a pipe and a playlist with an end wait."""
    sound: bool = True
    """Sound and subtitles of the source are copied into the video."""
    deinterlace: bool = True
    """Of a picture that is interlaced one field is kept, and the lines between are made from it."""
    hwaccel: Literal["none", "cuda"] = "none"
    """cuda: a graphics card decodes (NVDEC), where there is one and it knows the codec."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """udp: a little quicker, and what is lost on the way is lost."""


class ModelSettings(Section):
    """Sizes of VPSNet's parts, and where its weights are."""

    backbone: Literal["mobilenet_v2", "resnet50"] = "mobilenet_v2"
    fpn_channels: Positive = 96
    context_channels: Annotated[int, Field(ge=0, multiple_of=32)] = 96
    """Channels of the block that gives the coarsest features a wide view; 0: no such block (the paper's)."""
    gather_level: Annotated[int, Field(ge=0, le=4)] = 1
    """Pyramid level on which fusion works: 0 = P2 (stride 4, the paper's), 1 = P3."""
    fuse: bool = True
    """False: the frame's own features go on to detection unchanged."""
    flow_residual_channels: Positive = 32
    """Width of the network that refines the flow (64 in the paper)."""
    semantic_channels: tuple[Positive, ...] = (128, 128)
    """Outputs of the 3x3 layers of the semantic head, shared by P2..P5."""
    semantic_deformable: bool = False
    """Deformable 3x3 layers, as in the paper; slow on a CPU."""
    anchor_scale: Annotated[float, Field(gt=0)] = 4.0
    """Anchor side = this times the stride (8 in the paper, for pictures of 2048x1024)."""
    box_channels: Positive = 512
    """Width of the two fully connected layers of the box head."""
    mask_channels: Positive = 64
    mask_layers: Positive = 2
    track_channels: Positive = 256
    """Size of an appearance embedding."""
    weights: str | None = None
    """A .safetensors file, absolute or relative to the project's root; None: random, for training only."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the convolutions; results between stages are float32 either way. auto: bf16 where
    the processor or the GPU has instructions for it."""


class FlowSettings(Section):
    """Optical flow from a frame to the one before."""

    backend: Literal["dis", "raft-small"] = "dis"
    stride: Literal[1, 2, 4, 8] = 2
    """The flow is estimated on the network's picture reduced by this factor."""
    raft_weights: str | None = None
    """File of RAFT-small weights: torchvision's, or that of RAFT's authors."""


class DetectSettings(Section):
    """Proposals and what is kept of them."""

    proposals_before_nms: Positive = 300
    """Per pyramid level."""
    proposals: Positive = 200
    """Over all levels, after suppression."""
    proposal_nms_iou: Fraction01 = 0.7
    score_threshold: Fraction01 = 0.5
    nms_iou: Fraction01 = 0.5
    """Suppression between objects of any class."""
    max_objects: Positive = 100
    mask_overlap_max: Fraction01 = 0.3
    """An object is dropped when more of it than this lies under better ones of its class."""


class TrackSettings(Section):
    """Matching of detections with remembered objects (VPSNet's score)."""

    score_weight: float = 1.0
    iou_weight: float = 2.0
    class_weight: float = 10.0
    reach: Annotated[float, Field(ge=0.0)] = 1.0
    """How far from where it was last seen an object may be found again, in diagonals of its box, so that
    who comes does not take the identity of who left; 0: anywhere (the paper's)."""
    second_choice: bool = True
    """A detection that loses its best object to another asks for its next best; False: it is a new
    object (the paper's)."""
    ttl_frames: Annotated[int, Field(ge=0)] = 60
    """An object not seen for this many frames is forgotten; 0: never (the paper's)."""
    edge_ttl_frames: Annotated[int, Field(ge=0)] = 10
    """The same for one last seen at an edge of the picture, which it has probably left; 0: like others (the
    paper's)."""
    gap_ttl_s: Annotated[float, Field(ge=0)] = 30.0
    """After a gap in a live stream objects are found again, anywhere in the picture; after one that is longer
    than this, none is."""


class PanopticSettings(Section):
    """From objects and semantic logits to one map."""

    min_stuff_area_px: Annotated[int, Field(ge=0)] = 144
    """Stuff of a class covering fewer network pixels than this becomes void."""
    min_stuff_iou: Fraction01 = 0.4
    """Stuff of a class becomes void in a frame where the IoU expected from the network's own probabilities is
    lower than this; 0: it stays (the paper's)."""
    unknown_class: bool = True
    """UPSNet's unknown class: pixels that look like a thing but belong to no object become void."""


class EncodeSettings(Section):
    """What is written, and how."""

    run_frames: Positive = 12
    """Frames per closed group of pictures: what is written and renamed at once; whole batches."""
    crf: Annotated[int, Field(ge=0, le=51)] = 20
    """Quality of the H.264 video; lower is better."""
    x264_preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
    ] = "veryfast"
    overlay_opacity: Fraction01 = 0.5
    labels: bool = True
    """Write class and identity beside each object."""
    segment_s: Annotated[float, Field(gt=0)] = 60.0
    """Results of a live source are closed after so long, and new ones are begun."""


class RunSettings(Section):
    """How the graph is executed."""

    executor: Literal["ray", "local", "inline"] = "ray"
    address: str = OWN_RAY
    """Of the Ray that the executor ray uses: local, one of its own that ends with the run; auto or HOST:PORT,
    a cluster that is there, of which this machine is a node; ray://HOST:PORT, the Ray Client server of a
    cluster whose head has sources and output under the same paths as this machine."""

    @field_validator("address")
    @classmethod
    def _is_known(cls, address: str) -> str:
        host, _, port = address.removeprefix(RAY_CLIENT).rpartition(":")
        if address not in (OWN_RAY, "auto") and not (host and port.isdecimal() and "/" not in host):
            raise PydanticCustomError("address", "Must be local, auto, HOST:PORT or ray://HOST:PORT")
        return address

    placement: Literal["auto", "split", "fused"] = "auto"
    replicas: Annotated[int, Field(ge=0, le=256)] = 0
    """Hosts among which the frames are shared out, for all stages but decode, track and encode; 0: one per
    graphics card, or one without cards."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_frames: Annotated[int, Field(ge=1, le=64)] = 1
    """Consecutive frames of a stream that go through each host in one call and through the network at
    once, those from a multiple of this number on. The results may differ in their last bits from those of
    single frames, and frames wait for each other."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the convolutions; 0: one per core, at most 8. Part of what fixes the output's last bits."""
    window_frames: Annotated[int, Field(ge=1, le=64)] = 6
    """Frames of one stream in flight between decoding and the panoptic map."""
    streams_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Streams that are under way at the same time; fewer, where the memory does not hold their frames."""
    memory_budget_mb: Annotated[int, Field(ge=0)] = 0
    """Bytes that frames in flight may hold; 0: 40% of Ray's object store, or 1 GB without Ray."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port at which a Ray of the run's own serves metrics to Prometheus; 0: any that is free. Needs
    `ray[default]`."""


class TrainSettings(Section):
    """Training of all heads together (VPSNet's losses), AdamW, cosine schedule."""

    steps: Positive = 6000
    batch_pictures: Positive = 8
    two_frames: bool = False
    """Train fusion and tracking on pairs of views; False: on single pictures, everything else."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] = get_args(Part)
    """The parts of the network that learn; the others stay as they were, norms included."""

    @field_validator("parts")
    @classmethod
    def _can_learn(cls, parts: tuple[Part, ...], info: ValidationInfo) -> tuple[Part, ...]:
        if set(parts) <= {"fusion", "track"} and not info.data.get("two_frames", True):
            raise PydanticCustomError(
                "parts", "They learn from pairs of views alone; set train.two_frames=true as well"
            )
        return parts

    objects_every: Positive = 1
    """The heads of objects learn at one step of so many, the semantic head at every step."""
    regions_per_picture: Positive = 128
    """Regions on which the box head learns, a quarter of them positive."""
    learning_rate: Annotated[float, Field(gt=0)] = 6e-4
    backbone_rate_factor: Annotated[float, Field(gt=0)] = 0.5
    freeze_norm: bool = False
    """Keep the backbone's batch statistics as they were (VPSNet); needs pretrained ones."""
    freeze_stem: bool = False
    """Keep the backbone's layers up to C2 as they were, norms included (VPSNet); steps are shorter."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    clip_grad_norm: Annotated[float, Field(gt=0)] = 10.0
    base_height_px: Positive = 384
    """Height of a training picture at scale 1."""
    crop_px: tuple[Positive, Positive] = (320, 576)
    """(height, width), multiples of 32."""
    scale_range: tuple[float, float] = (0.75, 1.6)
    backbone_weights: str | None = None
    """ImageNet weights (torchvision's file) to start from; None: random."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.995
    """Of the averaged model, which is the one that is kept."""
    rare_below: Fraction01 = 0.3
    """Pictures with a class that fewer than this fraction of all show are drawn more often."""
    paste_objects: Annotated[int, Field(ge=0)] = 0
    """Up to this many objects of other pictures are put into each, rare classes more often."""
    class_balance: Fraction01 = 0.0
    """In the semantic loss a pixel counts as its class's share of all pixels, to the power of minus this."""
    loader_processes: Annotated[int, Field(ge=0)] = 2
    checkpoint_every_steps: Positive = 250
    seed: int = 0
    semantic_weight: float = 1.0
    rpn_class_weight: float = 1.0
    rpn_box_weight: float = 1.0
    box_class_weight: float = 1.0
    box_weight: float = 1.0
    mask_weight: float = 1.0
    track_weight: float = 0.5
    panoptic_weight: float = 0.5


class Settings(Section):
    """All settings of a run."""

    categories: Annotated[tuple[Category, ...], BeforeValidator(_set_of_name), AfterValidator(_checked)] = (
        CITYSCAPES
    )
    """By class index. In a file the name of a known set, `cityscapes`, or a list of {id, name, is_thing,
    color}."""
    input: InputSettings = InputSettings()
    model: ModelSettings = ModelSettings()
    flow: FlowSettings = FlowSettings()
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    panoptic: PanopticSettings = PanopticSettings()
    encode: EncodeSettings = EncodeSettings()
    run: RunSettings = RunSettings()
    train: TrainSettings = TrainSettings()

    @field_serializer("categories")
    def _known_by_name(self, categories: tuple[Category, ...]) -> str | list[dict[str, Any]]:
        for name, known in CATEGORY_SETS.items():
            if categories == known:
                return name
        return [asdict(category) for category in categories]
