import copy  # noqa: F401 - pycocotools.cocoeval.copy
import datetime
import time
from collections import defaultdict

import numpy as np

from maskmill.pycocotools import _evaluation
from maskmill.pycocotools import mask as maskUtils
from maskmill.pycocotools._lazy import AllAttributes, Attribute, Open

__author__ = "tsungyi"


class COCOeval(Open):
    """pycocotools' COCOeval: `evaluate`, `accumulate`, `summarize`.

    Where nobody has overridden or replaced a step, all images are evaluated at once on columns, and `evalImgs`, `ious`,
    `_gts` and `_dts` are made when somebody looks at them. What stands in this class is how it is done otherwise, and
    what is meant in any case.
    """

    __dict__ = AllAttributes()
    evalImgs = Attribute()
    _gts = Attribute()
    _dts = Attribute()
    ious = Attribute()

    def __init__(self, cocoGt=None, cocoDt=None, iouType="segm"):
        if not iouType:
            print("iouType not specified. use default iouType segm")
        self.cocoGt = cocoGt
        self.cocoDt = cocoDt
        self.evalImgs = defaultdict(list)
        self.eval = {}
        self._gts = defaultdict(list)
        self._dts = defaultdict(list)
        self.params = Params(iouType=iouType)
        self._paramsEval = {}
        self.stats = []
        self.ious = {}
        if cocoGt is not None:
            self.params.imgIds = sorted(cocoGt.getImgIds())
            self.params.catIds = sorted(cocoGt.getCatIds())

    def _prepare(self):
        """Collect ground truth and results by image and category; masks become RLEs, in place."""
        p = self.params
        wanted = {"imgIds": p.imgIds, "catIds": p.catIds} if p.useCats else {"imgIds": p.imgIds}
        gts = self.cocoGt.loadAnns(self.cocoGt.getAnnIds(**wanted))
        dts = self.cocoDt.loadAnns(self.cocoDt.getAnnIds(**wanted))
        if p.iouType == "segm":
            for coco, anns in ((self.cocoGt, gts), (self.cocoDt, dts)):
                for ann in anns:
                    ann["segmentation"] = coco.annToRLE(ann)
        for gt in gts:
            gt["ignore"] = gt["ignore"] if "ignore" in gt else 0
            gt["ignore"] = "iscrowd" in gt and gt["iscrowd"]
            if p.iouType == "keypoints":
                gt["ignore"] = (gt["num_keypoints"] == 0) or gt["ignore"]
        self._gts = _evaluation.by_cell(gts)
        self._dts = _evaluation.by_cell(dts)
        self.evalImgs = defaultdict(list)
        self.eval = {}

    def evaluate(self):
        """Match results with ground truth in every image, category and area range."""
        tic = time.time()
        print("Running per image evaluation...")
        p = self.params
        if p.useSegm is not None:
            p.iouType = "segm" if p.useSegm == 1 else "bbox"
            print(f"useSegm (deprecated) is not None. Running {p.iouType} evaluation")
        print(f"Evaluate annotation type *{p.iouType}*")
        p.imgIds = list(np.unique(p.imgIds))
        if p.useCats:
            p.catIds = list(np.unique(p.catIds))
        p.maxDets = sorted(p.maxDets)
        self.params = p

        if not _evaluation.evaluate_files(self):
            self._prepare()
            if not _evaluation.evaluate_dicts(self):
                self._evaluate_one_by_one()
        self._paramsEval = _evaluation.copy_of(self.params)
        print(f"DONE (t={time.time() - tic:0.2f}s).")

    def _evaluate_one_by_one(self):
        p = self.params
        catIds = p.catIds if p.useCats else [-1]
        if p.iouType == "segm" or p.iouType == "bbox":
            computeIoU = self.computeIoU
        elif p.iouType == "keypoints":
            computeIoU = self.computeOks
        self.ious = {(imgId, catId): computeIoU(imgId, catId) for imgId in p.imgIds for catId in catIds}
        evaluateImg = self.evaluateImg
        maxDet = p.maxDets[-1]
        self.evalImgs = [
            evaluateImg(imgId, catId, areaRng, maxDet)
            for catId in catIds
            for areaRng in p.areaRng
            for imgId in p.imgIds
        ]

    def _cell(self, imgId, catId):
        """Ground truth and results of one image and category, or of one image and all categories."""
        p = self.params
        if p.useCats:
            return self._gts[imgId, catId], self._dts[imgId, catId]
        gt = [g for cId in p.catIds for g in self._gts[imgId, cId]]
        dt = [d for cId in p.catIds for d in self._dts[imgId, cId]]
        return gt, dt

    def computeIoU(self, imgId, catId):
        """IoU of the best results, in order of score, with all ground truth."""
        p = self.params
        gt, dt = self._cell(imgId, catId)
        if len(gt) == 0 and len(dt) == 0:
            return []
        order = np.argsort([-d["score"] for d in dt], kind="mergesort")
        dt = [dt[i] for i in order]
        if len(dt) > p.maxDets[-1]:
            dt = dt[0 : p.maxDets[-1]]
        if p.iouType == "segm":
            key = "segmentation"
        elif p.iouType == "bbox":
            key = "bbox"
        else:
            raise Exception("unknown iouType for iou computation")
        g = [g[key] for g in gt]
        d = [d[key] for d in dt]
        iscrowd = [int(o["iscrowd"]) for o in gt]
        return maskUtils.iou(d, g, iscrowd)

    def computeOks(self, imgId, catId):
        """Object keypoint similarity of the best results, in order of score, with all ground truth."""
        p = self.params
        gts, dts = self._gts[imgId, catId], self._dts[imgId, catId]
        order = np.argsort([-d["score"] for d in dts], kind="mergesort")
        dts = [dts[i] for i in order]
        if len(dts) > p.maxDets[-1]:
            dts = dts[0 : p.maxDets[-1]]
        if len(gts) == 0 or len(dts) == 0:
            return []
        ious = np.zeros((len(dts), len(gts)))
        sigmas = p.kpt_oks_sigmas
        variances = (sigmas * 2) ** 2
        k = len(sigmas)
        for j, gt in enumerate(gts):
            g = np.array(gt["keypoints"])
            xg, yg, vg = g[0::3], g[1::3], g[2::3]
            visible = np.count_nonzero(vg > 0)
            bb = gt["bbox"]
            x0, x1 = bb[0] - bb[2], bb[0] + bb[2] * 2
            y0, y1 = bb[1] - bb[3], bb[1] + bb[3] * 2
            for i, dt in enumerate(dts):
                d = np.array(dt["keypoints"])
                xd, yd = d[0::3], d[1::3]
                if visible > 0:
                    dx, dy = xd - xg, yd - yg
                else:  # how far outside of twice the box
                    z = np.zeros(k)
                    dx = np.max((z, x0 - xd), axis=0) + np.max((z, xd - x1), axis=0)
                    dy = np.max((z, y0 - yd), axis=0) + np.max((z, yd - y1), axis=0)
                e = (dx**2 + dy**2) / variances / (gt["area"] + np.spacing(1)) / 2
                if visible > 0:
                    e = e[vg > 0]
                ious[i, j] = np.sum(np.exp(-e)) / e.shape[0]
        return ious

    def evaluateImg(self, imgId, catId, aRng, maxDet):
        """Match greedily in one image, category and area range."""
        p = self.params
        gt, dt = self._cell(imgId, catId)
        if len(gt) == 0 and len(dt) == 0:
            return None
        for g in gt:
            g["_ignore"] = 1 if g["ignore"] or (g["area"] < aRng[0] or g["area"] > aRng[1]) else 0
        # Ignored ground truth last, best results first.
        gt_order = np.argsort([g["_ignore"] for g in gt], kind="mergesort")
        gt = [gt[i] for i in gt_order]
        dt_order = np.argsort([-d["score"] for d in dt], kind="mergesort")
        dt = [dt[i] for i in dt_order[0:maxDet]]
        iscrowd = [int(o["iscrowd"]) for o in gt]
        ious = self.ious[imgId, catId]
        if len(ious) > 0:
            ious = ious[:, gt_order]

        T, G, D = len(p.iouThrs), len(gt), len(dt)
        gtm, dtm = np.zeros((T, G)), np.zeros((T, D))
        gtIg = np.array([g["_ignore"] for g in gt])
        dtIg = np.zeros((T, D))
        if not len(ious) == 0:
            for tind, t in enumerate(p.iouThrs):
                for dind, d in enumerate(dt):
                    iou = min([t, 1 - 1e-10])
                    m = -1  # the best so far
                    for gind in range(G):
                        if gtm[tind, gind] > 0 and not iscrowd[gind]:
                            continue
                        if m > -1 and gtIg[m] == 0 and gtIg[gind] == 1:
                            break
                        if ious[dind, gind] < iou:
                            continue
                        iou = ious[dind, gind]
                        m = gind
                    if m == -1:
                        continue
                    dtIg[tind, dind] = gtIg[m]
                    dtm[tind, dind] = gt[m]["id"]
                    gtm[tind, m] = d["id"]
        # What matches nothing and is outside of the area range does not count.
        outside = np.array([d["area"] < aRng[0] or d["area"] > aRng[1] for d in dt]).reshape((1, len(dt)))
        dtIg = np.logical_or(dtIg, np.logical_and(dtm == 0, np.repeat(outside, T, 0)))
        return {
            "image_id": imgId,
            "category_id": catId,
            "aRng": aRng,
            "maxDet": maxDet,
            "dtIds": [d["id"] for d in dt],
            "gtIds": [g["id"] for g in gt],
            "dtMatches": dtm,
            "gtMatches": gtm,
            "dtScores": [d["score"] for d in dt],
            "gtIgnore": gtIg,
            "dtIgnore": dtIg,
        }

    def accumulate(self, p=None):
        """Precision and recall over all images."""
        print("Accumulating evaluation results...")
        tic = time.time()
        if not _evaluation.is_evaluated(self):
            print("Please run evaluate() first")
        if p is None:
            p = self.params
        p.catIds = p.catIds if p.useCats == 1 else [-1]
        T, R = len(p.iouThrs), len(p.recThrs)
        K = len(p.catIds) if p.useCats else 1
        A, M = len(p.areaRng), len(p.maxDets)
        results = _evaluation.accumulate(self, p)
        if results is None:
            results = self._accumulate_one_by_one(p, (T, R, K, A, M))
        precision, recall, scores = results
        self.eval = {
            "params": p,
            "counts": [T, R, K, A, M],
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
            "precision": precision,
            "recall": recall,
            "scores": scores,
        }
        print(f"DONE (t={time.time() - tic:0.2f}s).")

    def _accumulate_one_by_one(self, p, counts):
        T, R, K, A, M = counts
        precision, recall, scores = (
            -np.ones((T, R, K, A, M)),
            -np.ones((T, K, A, M)),
            -np.ones((T, R, K, A, M)),
        )
        evaluated = self._paramsEval
        catIds = evaluated.catIds if evaluated.useCats else [-1]
        setK, setA = set(catIds), set(map(tuple, evaluated.areaRng))
        setM, setI = set(evaluated.maxDets), set(evaluated.imgIds)
        k_list = [n for n, k in enumerate(p.catIds) if k in setK]
        m_list = [m for m in p.maxDets if m in setM]
        a_list = [n for n, a in enumerate(map(tuple, p.areaRng)) if a in setA]
        i_list = [n for n, i in enumerate(p.imgIds) if i in setI]
        I0, A0 = len(evaluated.imgIds), len(evaluated.areaRng)
        for k, k0 in enumerate(k_list):
            for a, a0 in enumerate(a_list):
                for m, maxDet in enumerate(m_list):
                    E = [self.evalImgs[k0 * A0 * I0 + a0 * I0 + i] for i in i_list]
                    E = [e for e in E if e is not None]
                    if len(E) == 0:
                        continue
                    dtScores = np.concatenate([e["dtScores"][0:maxDet] for e in E])
                    order = np.argsort(-dtScores, kind="mergesort")
                    dtScoresSorted = dtScores[order]
                    dtm = np.concatenate([e["dtMatches"][:, 0:maxDet] for e in E], axis=1)[:, order]
                    dtIg = np.concatenate([e["dtIgnore"][:, 0:maxDet] for e in E], axis=1)[:, order]
                    gtIg = np.concatenate([e["gtIgnore"] for e in E])
                    npig = np.count_nonzero(gtIg == 0)
                    if npig == 0:
                        continue
                    tps = np.logical_and(dtm, np.logical_not(dtIg))
                    fps = np.logical_and(np.logical_not(dtm), np.logical_not(dtIg))
                    tp_sum = np.cumsum(tps, axis=1).astype(dtype=float)
                    fp_sum = np.cumsum(fps, axis=1).astype(dtype=float)
                    for t, (tp, fp) in enumerate(zip(tp_sum, fp_sum, strict=True)):
                        nd = len(tp)
                        rc = tp / npig
                        pr = tp / (fp + tp + np.spacing(1))
                        recall[t, k, a, m] = rc[-1] if nd else 0
                        pr = np.maximum.accumulate(pr[::-1])[::-1]
                        at = np.searchsorted(rc, p.recThrs, side="left")
                        # From the first recall that is not reached on, all is 0.
                        reached = int(np.argmax(at >= nd)) if np.any(at >= nd) else len(at)
                        q, ss = np.zeros(R), np.zeros(R)
                        q[:reached] = pr[at[:reached]]
                        ss[:reached] = dtScoresSorted[at[:reached]]
                        precision[t, :, k, a, m] = q
                        scores[t, :, k, a, m] = ss
        return precision, recall, scores

    def summarize(self):
        """Print the usual lines, and keep their numbers in `stats`."""
        if not self.eval:
            raise Exception("Please run accumulate() first")
        iouType = self.params.iouType
        if iouType == "segm" or iouType == "bbox":
            summarize = self._summarize_detections
        elif iouType == "keypoints":
            summarize = self._summarize_keypoints
        self.stats = summarize()

    def _summarize_detections(self):
        limits, line = self.params.maxDets, self._summarize_line
        stats = np.zeros((12,))
        stats[0] = line(1)  # with a limit of 100, whatever the limits are
        stats[1] = line(1, iouThr=0.5, maxDets=limits[2])
        stats[2] = line(1, iouThr=0.75, maxDets=limits[2])
        for n, area in enumerate(("small", "medium", "large")):
            stats[3 + n] = line(1, areaRng=area, maxDets=limits[2])
        for n in range(3):
            stats[6 + n] = line(0, maxDets=limits[n])
        for n, area in enumerate(("small", "medium", "large")):
            stats[9 + n] = line(0, areaRng=area, maxDets=limits[2])
        return stats

    def _summarize_keypoints(self):
        line = self._summarize_line
        stats = np.zeros((10,))
        for first, ap in ((0, 1), (5, 0)):
            stats[first] = line(ap, maxDets=20)
            stats[first + 1] = line(ap, maxDets=20, iouThr=0.5)
            stats[first + 2] = line(ap, maxDets=20, iouThr=0.75)
            stats[first + 3] = line(ap, maxDets=20, areaRng="medium")
            stats[first + 4] = line(ap, maxDets=20, areaRng="large")
        return stats

    def _summarize_line(self, ap=1, iouThr=None, areaRng="all", maxDets=100):
        p = self.params
        title, kind = ("Average Precision", "(AP)") if ap == 1 else ("Average Recall", "(AR)")
        if iouThr is None:
            shown = f"{p.iouThrs[0]:0.2f}:{p.iouThrs[-1]:0.2f}"
        else:
            shown = f"{iouThr:0.2f}"
        areas = [i for i, label in enumerate(p.areaRngLbl) if label == areaRng]
        limits = [i for i, limit in enumerate(p.maxDets) if limit == maxDets]
        s = self.eval["precision"] if ap == 1 else self.eval["recall"]
        if iouThr is not None:
            s = s[np.where(iouThr == p.iouThrs)[0]]
        s = s[:, :, :, areas, limits] if ap == 1 else s[:, :, areas, limits]
        mean = -1 if len(s[s > -1]) == 0 else np.mean(s[s > -1])
        print(
            f" {title:<18} {kind} @[ IoU={shown:<9} | area={areaRng:>6s} | maxDets={maxDets:>3d} ] = {mean:0.3f}"
        )
        return mean

    def __str__(self):
        self.summarize()


class Params:
    """What is evaluated, and how; an open object."""

    def setDetParams(self):
        self.imgIds = []
        self.catIds = []
        self.iouThrs = np.linspace(0.5, 0.95, int(np.round((0.95 - 0.5) / 0.05)) + 1, endpoint=True)
        self.recThrs = np.linspace(0.0, 1.00, int(np.round((1.00 - 0.0) / 0.01)) + 1, endpoint=True)
        self.maxDets = [1, 10, 100]
        self.areaRng = [[0**2, 1e5**2], [0**2, 32**2], [32**2, 96**2], [96**2, 1e5**2]]
        self.areaRngLbl = ["all", "small", "medium", "large"]
        self.useCats = 1

    def setKpParams(self):
        self.imgIds = []
        self.catIds = []
        self.iouThrs = np.linspace(0.5, 0.95, int(np.round((0.95 - 0.5) / 0.05)) + 1, endpoint=True)
        self.recThrs = np.linspace(0.0, 1.00, int(np.round((1.00 - 0.0) / 0.01)) + 1, endpoint=True)
        self.maxDets = [20]
        self.areaRng = [[0**2, 1e5**2], [32**2, 96**2], [96**2, 1e5**2]]
        self.areaRngLbl = ["all", "medium", "large"]
        self.useCats = 1
        # Nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: https://cocodataset.org/#keypoints-eval
        self.kpt_oks_sigmas = (
            np.array(
                [
                    0.26,
                    0.25,
                    0.25,
                    0.35,
                    0.35,
                    0.79,
                    0.79,
                    0.72,
                    0.72,
                    0.62,
                    0.62,
                    1.07,
                    1.07,
                    0.87,
                    0.87,
                    0.89,
                    0.89,
                ]
            )
            / 10.0
        )

    def __init__(self, iouType="segm"):
        if iouType == "segm" or iouType == "bbox":
            self.setDetParams()
        elif iouType == "keypoints":
            self.setKpParams()
        else:
            raise Exception("iouType not supported")
        self.iouType = iouType
        self.useSegm = None


_evaluation.remember(COCOeval)
