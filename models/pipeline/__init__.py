"""From a request to a picture: plain functions over loaded components, one stage a file.

loading      a folder to Components (flux1, flux2: what each family does its own way)
request      what is asked for, and what a network refuses
pictures     pictures, masks and references to the pixels that a network sees
conditions   the start of a row: its noise, and everything that stays the same while it is denoised
denoising    one step of some rows
drawing      all stages for one picture

A serving engine interleaves the steps of many pictures; `drawing` strings them together. No stage remembers a request. The
pictures equal those of Diffusers' pipelines for the same seed, dtype and folder, which is why latents and times are rounded to
the networks' dtype where they round them, and why everything random is drawn in their order.
"""
