# For processes that find this folder on their path (see maskmill.pycocotools.path): becomes maskmill's pycocotools.
import maskmill.pycocotools

maskmill.pycocotools.install()
