"""Hugging Face Space of a model: upload best.pt beside this file (SDK: Gradio)."""

import gradio as gr

import splitnest

model = splitnest.load("best.pt")


def predict(image, score):
    """Return the picture and the JSON of an image."""
    (result,) = model.predict([image])
    return result.above(score).draw(image), result.above(score).to_dict()


gr.Interface(
    predict,
    inputs=[gr.Image(label="Image"), gr.Slider(0, 1, 0.5, label="Minimum score")],
    outputs=[gr.Image(label="Result"), gr.JSON(label="JSON")],
    title=model.recipe.name,
).launch()
