"""Electron microscopy: from volumes, stacks, videos and single images to a deduplicated, filtered training set.

A verb of `maskmill em` has the module of its name here, and its options in `cli/em`. Beside them:

==============================  =======================================================================================
run                             the whole line: which verbs, on what
clean, video2stack, mrc2byte    convert; `report` tells what became of each input
fetch, crop                     cubes of large volumes (`em crop-rois`): `plans` what is wished and chosen, `rois` which
                                cubes, `origins` opens what they are taken from
patchify                        cut, hash, deduplicate, write, in this order: `settings` what the result depends on,
                                `inputs` what there is to cut, `survey` how each is cut, `plan` into which tiles and
                                reads, `tasks` what workers do, `select` which patches stay, `writing` the folder and
                                its resume, `legacy` where cem-dataset differs
dedupe                          the same choice among patches that are there already
filter                          scores: `forest` on `features`, or `cnn`; `train` (`em train-filter`) and `train_cnn`
                                make them, `textures` what the default one learns, `labels` what people say
reconstruct                     what lies around patches: `subvolumes` chooses the boxes
==============================  =======================================================================================

Files: `store` what patchify, dedupe and filter leave behind, of `tables` and `shards`; `pickles` of cem-dataset;
`sources` reads any of them patch by patch. Names of patches and their stable order: `names`.
"""
