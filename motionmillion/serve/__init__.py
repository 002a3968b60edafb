"""Motion generation as an HTTP service with a web page, needs `pip install "motionmillion[serve]"`.

    motionmillion serve                                    # the bundled model on http://127.0.0.1:8000

`engine` batches what clients ask of a model, without HTTP; `app` is the service around it.
"""
