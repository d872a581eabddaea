"""Where the objects of a store lie: a folder, or a bucket of object storage. Nobody else knows."""
