package slab

type Cache struct{}
