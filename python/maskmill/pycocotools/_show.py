"""Drawing annotations, as pycocotools' showAnns does."""

import numpy as np

from maskmill.pycocotools import mask as maskUtils

CROWD_COLOUR = np.array([2.0, 166.0, 101.0]) / 255


def show_instances(coco, anns, draw_bbox):
    import matplotlib.pyplot as plt
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Polygon

    axes = plt.gca()
    axes.set_autoscale_on(False)
    polygons, colours = [], []
    for ann in anns:
        colour = (np.random.random((1, 3)) * 0.6 + 0.4).tolist()[0]
        if "segmentation" in ann:
            if type(ann["segmentation"]) == list:
                for ring in ann["segmentation"]:
                    polygons.append(Polygon(np.array(ring).reshape((int(len(ring) / 2), 2))))
                    colours.append(colour)
            else:
                _show_mask(coco, ann, axes)
        if "keypoints" in ann and type(ann["keypoints"]) == list:
            _show_keypoints(coco, ann, colour, plt)
        if draw_bbox:
            x, y, w, h = ann["bbox"]
            polygons.append(
                Polygon(np.array([[x, y], [x, y + h], [x + w, y + h], [x + w, y]]).reshape((4, 2)))
            )
            colours.append(colour)
    axes.add_collection(PatchCollection(polygons, facecolor=colours, linewidths=0, alpha=0.4))
    axes.add_collection(PatchCollection(polygons, facecolor="none", edgecolors=colours, linewidths=2))


def _show_mask(coco, ann, axes):
    image = coco.imgs[ann["image_id"]]
    if type(ann["segmentation"]["counts"]) == list:
        rle = maskUtils.frPyObjects([ann["segmentation"]], image["height"], image["width"])
    else:
        rle = [ann["segmentation"]]
    mask = maskUtils.decode(rle)
    picture = np.ones((mask.shape[0], mask.shape[1], 3))
    # Of other flags than 0 and 1 pycocotools says that it has no color_mask.
    if ann["iscrowd"] == 1:
        color_mask = CROWD_COLOUR
    if ann["iscrowd"] == 0:
        color_mask = np.random.random((1, 3)).tolist()[0]
    for i in range(3):
        picture[:, :, i] = color_mask[i]
    axes.imshow(np.dstack((picture, mask * 0.5)))


def _show_keypoints(coco, ann, colour, plt):
    bones = np.array(coco.loadCats(ann["category_id"])[0]["skeleton"]) - 1  # the file counts from 1
    points = np.array(ann["keypoints"])
    x, y, v = points[0::3], points[1::3], points[2::3]
    for bone in bones:
        if np.all(v[bone] > 0):
            plt.plot(x[bone], y[bone], linewidth=3, color=colour)
    for shown, edge in ((v > 0, "k"), (v > 1, colour)):
        plt.plot(
            x[shown],
            y[shown],
            "o",
            markersize=8,
            markerfacecolor=colour,
            markeredgecolor=edge,
            markeredgewidth=2,
        )
