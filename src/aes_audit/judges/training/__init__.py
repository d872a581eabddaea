"""Training of dimension judges on rated images. Nothing here is needed to judge with them."""
