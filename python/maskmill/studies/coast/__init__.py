"""Coasts labelled with Doodler: results, data sets such as Coast Train (Wernette et al. 2022, doi:10.5066/P91NP87I).

A verb of `maskmill coast` has its function here, and its options in `cli/coast`. Modules:

==============================  =======================================================================================
trials                          `read`: the trials of result files, the newest last; what the names of files tell
timeline, quality               what changed from trial to trial; what is suspicious in a label
records, superclasses           record tables of Coast Train, read; the superclasses of its classes
counts, geography, repeats      numbers of tables: by class, labeler, setting; places and maps; duplicates, leaks
statistics                      `stats`: all of them, with what was published and is not so
figures, maps, page, montage    `plots`: figures, maps, one page of all, and pictures of results (`plotting`)
comparison, consensus           measures of two label images, and of more; majority, estimated truth
labelers, interrater            `agreement`: who labelled the same image, and how far they agree
agreement_pictures, drawing     its pictures and maps; what all pictures have in common
rules, file_rules, audit        `lint`: what tables have wrong, in themselves and about the files of labels
replaying, eras                 `replay`: labels rebuilt; versions of Doodler, and which may have made a trial
rebuild, cleaning, refining     the steps of these versions, bit for bit: of all; of labels; of the CRF
replays                         `replay_all`: the same of many files
engine                          `relabel`: labels from doodles as they should be
labelled                        trials as they are handed on: those that are wanted, with the classes that are wanted
exports                         `unpack`: pictures, label images, overlays, doodles, COCO
georeference, vectors           label images and outlines where they lie on Earth, as record tables say
pictures                        `show`: doodles and labels upon the picture, and a legend
mapping, remapping              `remap`: other classes; the configurations that say which, and what would be done
tiling, gym                     `tiles`: windows of one class; `npz4gym`: pairs for Segmentation Gym
strokes                         `transfer`: doodles of one picture label others
packing                         `pack`: results made of pictures and label images; one more trial for a result
archives                        `archive`, `restore`: results without what is in them twice, and back
ledger                          many files, one task each: the manifest of a folder, runs that go on
==============================  =======================================================================================

The files themselves are read and written by `maskmill.io.doodler`.
"""

from maskmill.io.doodler import Trial
from maskmill.studies.coast.archives import archive, restore
from maskmill.studies.coast.audit import Lint, lint
from maskmill.studies.coast.engine import Relabelled, relabel
from maskmill.studies.coast.exports import unpack
from maskmill.studies.coast.gym import Pair, npz4gym, read_gym, show_gym
from maskmill.studies.coast.interrater import Agreement, agreement
from maskmill.studies.coast.mapping import Remap, built_in, read_remap
from maskmill.studies.coast.packing import pack
from maskmill.studies.coast.pictures import show
from maskmill.studies.coast.plotting import plots
from maskmill.studies.coast.quality import Quality, quality
from maskmill.studies.coast.records import read_records
from maskmill.studies.coast.remapping import preview, remap
from maskmill.studies.coast.replaying import Replay, replay
from maskmill.studies.coast.replays import replay_all
from maskmill.studies.coast.statistics import Statistics, stats
from maskmill.studies.coast.strokes import transfer
from maskmill.studies.coast.tiling import tiles
from maskmill.studies.coast.timeline import Step, timeline
from maskmill.studies.coast.trials import Name, find, name_of, read

__all__ = [
    "Agreement",
    "Lint",
    "Name",
    "Pair",
    "Quality",
    "Relabelled",
    "Remap",
    "Replay",
    "Statistics",
    "Step",
    "Trial",
    "agreement",
    "archive",
    "built_in",
    "find",
    "lint",
    "name_of",
    "npz4gym",
    "pack",
    "plots",
    "preview",
    "quality",
    "read",
    "read_gym",
    "read_records",
    "read_remap",
    "relabel",
    "remap",
    "replay",
    "replay_all",
    "restore",
    "show",
    "show_gym",
    "stats",
    "tiles",
    "timeline",
    "transfer",
    "unpack",
]
