__author__ = "tsungyi"

import maskmill.pycocotools._mask as _mask

# The functions below are pycocotools', in name, signature, result and error; what each does is told in the docs of
# maskmill.Masks, which does more, and without dicts.

iou = _mask.iou
merge = _mask.merge
frPyObjects = _mask.frPyObjects


def encode(bimask):
    out = _mask._fast_encode(bimask)
    if out is not NotImplemented:
        return out
    if _mask.is_on_gpu(bimask):
        return _mask.encode_on_gpu(bimask)
    if len(bimask.shape) == 3:
        return _mask.encode(bimask)
    if len(bimask.shape) == 2:
        h, w = bimask.shape
        return _mask.encode(bimask.reshape((h, w, 1), order="F"))[0]


def decode(rleObjs):
    out = _mask._fast_decode(rleObjs)
    if out is not NotImplemented:
        return out
    if type(rleObjs) is list:
        return _mask.decode(rleObjs)
    return _mask.decode([rleObjs])[:, :, 0]


def area(rleObjs):
    out = _mask._fast_area(rleObjs)
    if out is not NotImplemented:
        return out
    if type(rleObjs) is list:
        return _mask.area(rleObjs)
    return _mask.area([rleObjs])[0]


def toBbox(rleObjs):
    out = _mask._fast_to_bbox(rleObjs)
    if out is not NotImplemented:
        return out
    if type(rleObjs) is list:
        return _mask.toBbox(rleObjs)
    return _mask.toBbox([rleObjs])[0]
