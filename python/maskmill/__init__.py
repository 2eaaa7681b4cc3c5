from maskmill import _core
