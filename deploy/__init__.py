"""The offline build of the model: data, training, quantization, proof, packaging. Host only."""
